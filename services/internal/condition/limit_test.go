package condition

import (
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

// An estimate that is too low must not let a condition run on.
func TestARunEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	const when = `attributes.all(a, attributes.all(b, a != "x" + b))`
	attributes := map[string]string{}
	for _, c := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		attributes[c] = c
	}
	in := &Input{Usage: &events.Usage{Data: events.UsageData{Attributes: attributes}}}
	for limit, ok := range map[uint64]bool{100: false, RunMax: true} {
		c, err := compile(when, 1<<40, limit)
		if err != nil {
			t.Fatal(err)
		}
		switch holds, err := c.Holds(in); {
		case ok && (err != nil || !holds):
			t.Errorf("within %d: %v, %v", limit, holds, err)
		case !ok && (err == nil || !strings.Contains(err.Error(), "cost limit exceeded")):
			t.Errorf("within %d: %v, %v; want the limit exceeded", limit, holds, err)
		}
	}
}
