package past

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// RefusedCorrections returns where the corrections of a partition stand, at LEDGER
// message first or later, that the fold refused. It folds the whole partition,
// from the latest snapshot before first.
func (l Ledger) RefusedCorrections(ctx context.Context, partition int, first uint64) (map[Place]bool, error) {
	state, mark := l.restore(ctx, partition, first-1)
	refused := map[Place]bool{}
	var postings []ledger.Posting
	err := stream.Each(ctx, l.Broker.Log(events.StreamLedger), stream.From{Sequence: mark.Sequence + 1}, func(m stream.Message) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err == nil {
			err = events.CheckOrigin(m.Subject, chunk, l.Partitions)
		}
		if err != nil {
			return fmt.Errorf("fold ledger message %d on %s: %w", m.Sequence, m.Subject, err)
		}
		for i, e := range chunk.Entries {
			var d events.Decision
			d, postings = state.Apply(ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, e, postings[:0])
			if e.Kind == events.EntryCorrection && d.Outcome == events.Refused {
				refused[Place{m.Sequence, i}] = true
			}
		}
		return nil
	}, events.PartitionLedgerSubjects(partition)...)
	if err != nil {
		return nil, fmt.Errorf("fold the corrections of partition %d: %w", partition, err)
	}
	return refused, nil
}
