package gateway

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/backfill"
)

// oldLetter is a dead letter whose usage event lies behind the dedup horizon:
// replayed as it came, it would be too late.
type oldLetter struct {
	id    uint64
	usage events.Usage
}

// oldMax is how many old letters are looked for in one reading of the ledger.
const oldMax = 1000

// tooOld returns the usage event of a message, if that is one and a rater would
// find it too late.
func (r *replay) tooOld(m *nats.Msg) (events.Usage, bool) {
	items := events.DecodeMessage(m.Subject, m.Header, m.Data, r.Streams.Partitions)
	if len(items) != 1 || items[0].Err != nil {
		return events.Usage{}, false
	}
	u := items[0].Usage
	u.Backfill = r.Now() // an earlier look is of no use
	if events.CheckAge(events.Usage{Time: u.Time}, u.Backfill, r.Horizon, r.MaxAhead) == nil {
		return events.Usage{}, false
	}
	return u, true
}

func (r *replay) keepOld(ctx context.Context, l oldLetter) error {
	if r.old = append(r.old, l); len(r.old) < oldMax {
		return nil
	}
	return r.flush(ctx)
}

// flush looks for the old letters in the ledger and publishes those that it does
// not charge as backfills; of the others nothing is left to do.
func (r *replay) flush(ctx context.Context) error {
	if len(r.old) == 0 {
		return nil
	}
	usages := make([]events.Usage, len(r.old))
	for i, l := range r.old {
		usages[i] = l.usage
	}
	checked, err := backfill.Check(ctx, r.broker, r.Streams.Partitions, usages, nil)
	if err != nil {
		return err
	}
	for i, l := range r.old {
		if checked.Known[i] {
			if err := r.delete(ctx, l.id); err != nil {
				return err
			}
			continue
		}
		l.usage.Backfill = checked.At
		body, err := events.AppendStructured(nil, l.usage)
		if err != nil {
			return err
		}
		message := &nats.Msg{
			Subject: events.UsageSubject(l.usage.Account), Data: body,
			Header: nats.Header{events.HeaderContentType: {events.ContentTypeEvent}},
		}
		if err := r.publish(ctx, l.id, message); err != nil {
			return err
		}
	}
	r.old = r.old[:0]
	return nil
}
