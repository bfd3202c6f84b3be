package gateway

import (
	"bytes"
	"context"
	"fmt"

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
	info, err := g.Streams.DeadLetter.Info(bounded)
	if err != nil {
		return nil, fmt.Errorf("look up stream of dead letters: %w", err)
	}
	if info.State.Msgs == 0 {
		return nil, nil
	}
	from := info.State.FirstSeq
	if info.State.LastSeq > scanMax {
		from = max(from, info.State.LastSeq-scanMax+1)
	}
	var found *DeadLetterSummary
	_, err = g.scanDeadLetters(ctx, scan{from: from, limit: scanMax}, func(d events.DeadLetter, size int) bool {
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
