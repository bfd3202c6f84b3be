package gateway

import (
	"bytes"
	"context"

	"github.com/drawdown-credits/drawdown/events"
)

// findDeadLetter looks for a usage event among the newest dead letters, at most
// scanMax of them; nil when it is not there. The newest one counts.
func (g *Gateway) findDeadLetter(ctx context.Context, source, id string) (*DeadLetterSummary, error) {
	if err := g.online(); err != nil {
		return nil, err
	}
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	state, err := g.broker.Log(events.StreamDeadLetter).State(bounded)
	if err != nil {
		return nil, err
	}
	if state.Messages == 0 {
		return nil, nil
	}
	from := state.First
	if state.Last > scanMax {
		from = max(from, state.Last-scanMax+1)
	}
	var found *DeadLetterSummary
	_, err = g.scanDeadLetters(bounded, scan{from: from, limit: scanMax}, func(d events.DeadLetter, size int) bool {
		if isEvent(d, source, id) {
			s := summary(d, size)
			found = &s
		}
		return true
	})
	return found, err
}

// isEvent reports whether a dead letter is the usage event of that source and
// id, as far as it can be read.
func isEvent(d events.DeadLetter, source, id string) bool {
	u := events.DecodeBinary(d.Header, d.Body).Usage
	if u.ID == "" && bytes.Contains(d.Body, []byte(`"id"`)) {
		u = events.DecodeEvent(d.Body).Usage
	}
	return u.ID == id && u.Source == source
}
