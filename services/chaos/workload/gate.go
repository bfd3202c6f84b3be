package workload

import (
	"context"
	"sync"
	"time"
)

// Gate counts the events that are sent and lets no more be sent than allowed,
// so that faults come when the schedule says, in terms of events.
type Gate struct {
	mu      sync.Mutex
	sent    int
	allowed int
	limited bool // by paced too
	paced   int
	changed chan struct{}
}

// NewGate makes a gate that lets allowed events pass.
func NewGate(allowed int) *Gate { return &Gate{allowed: allowed, changed: make(chan struct{})} }

// Allow lets events pass until allowed are sent.
func (g *Gate) Allow(allowed int) {
	g.change(func() { g.allowed = allowed })
}

// Sent is the number of events sent so far.
func (g *Gate) Sent() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent
}

// Pass waits until events may be sent, and counts n of them.
func (g *Gate) Pass(ctx context.Context, n int) error {
	return g.await(ctx, func() bool {
		if g.sent >= g.allowed || g.limited && g.sent >= g.paced {
			return false
		}
		g.sent += n
		return true
	}, true)
}

// Reach waits until n events are sent.
func (g *Gate) Reach(ctx context.Context, n int) error {
	return g.await(ctx, func() bool { return g.sent >= n }, false)
}

func (g *Gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	g.notify()
}

func (g *Gate) notify() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gate) await(ctx context.Context, is func() bool, changes bool) error {
	for {
		g.mu.Lock()
		done, changed := is(), g.changed
		if done && changes {
			g.notify()
		}
		g.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Pace lets no more than rate events pass a second, on average, until ctx ends.
func (g *Gate) Pace(ctx context.Context, rate int) {
	began := time.Now()
	g.change(func() { g.paced, g.limited = 0, true })
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.change(func() { g.paced = int(time.Since(began).Seconds() * float64(rate)) })
		case <-ctx.Done():
			return
		}
	}
}
