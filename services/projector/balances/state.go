package balances

import (
	"context"
	"io"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// Restore returns the state of a partition at the latest snapshot of c that
// stands at or before LEDGER sequence atMost and fits c's ledger; nil when there
// is none, with err saying why others were not taken.
func (c Config) Restore(ctx context.Context, partition int, atMost uint64) (*ledger.State, stream.Mark, error) {
	var found *fold
	want := newFold(partition, c.Partitions).header(c.Installation)
	h, ok, err := c.Snapshots.Load(ctx, snapshotName(partition), atMost, func(h snapshot.Header, r io.Reader) error {
		if err := h.Check(want); err != nil {
			return err
		}
		if err := h.Mark.Verify(ctx, c.Broker.Log(events.StreamLedger)); err != nil {
			return err
		}
		found = newFold(partition, c.Partitions)
		return found.decode(r, h)
	})
	if !ok {
		return nil, stream.Mark{}, err
	}
	return found.state, h.Mark, nil
}
