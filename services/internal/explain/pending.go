package explain

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// pendingMax bounds the events of USAGE that one question looks at.
const pendingMax = 200_000

var errEnough = errors.New("enough")

// pending looks for an event among those that are stored and not rated yet, and
// says how many it looked at.
func (x Explainer) pending(ctx context.Context, q Question) (*Explanation, int, error) {
	looked := 0
	for _, p := range x.partitions(q) {
		found, n, err := x.pendingIn(ctx, q, p, pendingMax-looked)
		if looked += n; err != nil || found != nil || looked >= pendingMax {
			return found, looked, err
		}
	}
	return nil, looked, nil
}

// pendingIn looks at no more than limit events of one partition.
func (x Explainer) pendingIn(ctx context.Context, q Question, partition, limit int) (*Explanation, int, error) {
	settled, err := x.settled(ctx, partition)
	if err != nil {
		return nil, 0, err
	}
	usage, from := x.Ledger.Broker.Log(events.StreamUsage), settled.Sequence+1
	switch m, ok, err := get(ctx, usage, settled.Sequence); {
	case err != nil:
		return nil, 0, err
	case ok && len(events.DecodeMessage(m.Subject, m.Header, m.Data, x.Ledger.Partitions)) > settled.Index+1:
		from = settled.Sequence // a batch that is settled in part
	}
	var found *Explanation
	looked := 0
	err = stream.Each(ctx, usage, stream.From{Sequence: from}, func(m stream.Message) error {
		for i, item := range events.DecodeMessage(m.Subject, m.Header, m.Data, x.Ledger.Partitions) {
			if m.Sequence == settled.Sequence && i <= settled.Index {
				continue
			}
			if u := item.Usage; q.names(u) {
				at := events.Position{Sequence: m.Sequence, Index: i, StoredAt: m.Time}
				found = &Explanation{
					Status: Pending, Event: eventOf(u, at), Waiting: &Waiting{Partition: partition, Settled: settled.Sequence, Behind: looked},
				}
				return errEnough
			}
			if looked++; looked >= limit {
				return errEnough
			}
		}
		return nil
	}, events.StoredUsageSubject(partition, "*"), events.BatchSubject(partition))
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, looked, err
}

// names reports whether u is the event that q asks about.
func (q Question) names(u events.Usage) bool {
	return u.Source == q.Source && u.ID == q.ID && (q.Account == "" || u.Account == q.Account)
}

// get returns the message at a sequence, and none at 0.
func get(ctx context.Context, l stream.Log, sequence uint64) (stream.Message, bool, error) {
	if sequence == 0 {
		return stream.Message{}, false, nil
	}
	return l.Get(ctx, sequence)
}

// settled is the last event of USAGE that a partition's rater is through with.
func (x Explainer) settled(ctx context.Context, partition int) (events.Position, error) {
	m, ok, err := x.Ledger.Broker.Log(events.StreamLedger).Last(ctx, events.LedgerSubject(partition, events.WriterUsage))
	if err != nil || !ok {
		return events.Position{}, err
	}
	chunk, err := events.DecodeChunk(m.Data)
	if err != nil || chunk.Span == nil {
		return events.Position{}, fmt.Errorf("read how far partition %d is rated: message %d is not the rater's: %w", partition, m.Sequence, err)
	}
	return chunk.Span.Through, nil
}
