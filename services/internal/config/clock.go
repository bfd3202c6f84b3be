package config

import (
	"os"
	"strings"
	"sync"
	"time"
)

// clockVariable names a file with a Go duration, such as -90s, which is added to
// this process's clock wherever a service decides something by it. It is for
// tests that let clocks jump, and therefore no setting: `drawdown config` does
// not show it. What the file says may change at any time; a file that is
// missing or says something else moves nothing.
const clockVariable = "DRAWDOWN_CLOCK_OFFSET_FILE"

// clockEvery is how often the file is looked at.
const clockEvery = 100 * time.Millisecond

// Clock returns the clock of the services: time.Now, unless a test moves it.
func Clock() func() time.Time {
	path := os.Getenv(clockVariable)
	if path == "" {
		return time.Now
	}
	c := &movedClock{path: path}
	return c.now
}

type movedClock struct {
	path string

	mu     sync.Mutex
	read   time.Time
	offset time.Duration
}

func (c *movedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.read) >= clockEvery {
		c.read = now
		text, err := os.ReadFile(c.path)
		if offset, bad := time.ParseDuration(strings.TrimSpace(string(text))); err == nil && bad == nil {
			c.offset = offset
		} else {
			c.offset = 0
		}
	}
	return now.Add(c.offset)
}
