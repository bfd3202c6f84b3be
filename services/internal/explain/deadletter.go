package explain

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Refusal says why a usage event was refused, and how to send it again.
type Refusal struct {
	ID        uint64    `json:"id"`
	Reason    string    `json:"reason" doc:"A code, such as unratable."`
	Detail    string    `json:"detail"`
	RefusedAt time.Time `json:"refused_at"`
	Subject   string    `json:"subject" doc:"The NATS subject it was stored under."`
	// Replay is the command that sends it through the pipeline again.
	Replay string `json:"replay"`
}

// deadLettersMax bounds the dead letters that one question looks at.
const deadLettersMax = 50_000

// deadLetter looks for an event among the newest dead letters and says how many
// it looked at. Of several of one event the newest counts.
func (x Explainer) deadLetter(ctx context.Context, q Question) (*Explanation, uint64, error) {
	letters := x.Ledger.Broker.Log(events.StreamDeadLetter)
	state, err := letters.State(ctx)
	if err != nil || state.Messages == 0 {
		return nil, 0, err
	}
	from, looked := state.First, uint64(0)
	if state.Last > deadLettersMax {
		from = max(from, state.Last-deadLettersMax+1)
	}
	var found *Explanation
	err = stream.Each(ctx, letters, stream.From{Sequence: from}, func(m stream.Message) error {
		looked++
		d, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
		if err != nil {
			return nil // nobody of ours wrote it
		}
		if u := usageOf(d); q.names(u) {
			found = &Explanation{
				Status: Refused,
				Event:  eventOf(u, events.Position{Sequence: d.Sequence, Index: d.Index, StoredAt: d.StoredAt}),
				DeadLetter: &Refusal{
					ID: d.ID, Reason: d.Reason, Detail: d.Detail, Subject: d.Subject, RefusedAt: m.Time.UTC(),
					Replay: fmt.Sprintf("drawdown deadletters replay %d", d.ID),
				},
			}
		}
		return nil
	})
	return found, looked, err
}

// usageOf is the usage event of a dead letter, as far as it can be read.
func usageOf(d events.DeadLetter) events.Usage {
	u := events.DecodeBinary(d.Header, d.Body).Usage
	if u.ID == "" && bytes.Contains(d.Body, []byte(`"id"`)) {
		u = events.DecodeEvent(d.Body).Usage
	}
	return u
}
