package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// settled waits until every usage event stored by now is settled in the
// ledger. What is not when time is up is a difference.
func (r *Report) settled(ctx context.Context, c Config, deadline time.Time) error {
	for partition := range c.Partitions {
		end, err := usageEnd(ctx, c, partition)
		if err != nil {
			return err
		}
		for {
			through, err := settledThrough(ctx, c, partition)
			if err != nil {
				return err
			}
			if through >= end {
				break
			}
			if time.Now().After(deadline) {
				r.differ("usage", "after %s partition %d is still rated through USAGE sequence %d of %d", c.Settle, partition, through, end)
				break
			}
			c.Progress("settle", uint64(partition), uint64(c.Partitions))
			if err := pause.For(ctx, settlePoll); err != nil {
				return err
			}
		}
	}
	return nil
}

// usageEnd is the sequence of a partition's newest usage message.
func usageEnd(ctx context.Context, c Config, partition int) (end uint64, err error) {
	for _, subject := range []string{events.StoredUsageSubject(partition, "*"), events.BatchSubject(partition)} {
		last, _, err := c.Broker.Log(events.StreamUsage).Last(ctx, subject)
		if err != nil {
			return 0, err
		}
		end = max(end, last.Sequence)
	}
	return end, nil
}

// settledThrough is the last USAGE sequence that a partition's rater settled.
func settledThrough(ctx context.Context, c Config, partition int) (uint64, error) {
	last, ok, err := c.Broker.Log(events.StreamLedger).Last(ctx, events.LedgerSubject(partition, events.WriterUsage))
	if err != nil || !ok {
		return 0, err
	}
	chunk, err := events.DecodeChunk(last.Data)
	if err != nil || chunk.Span == nil {
		return 0, fmt.Errorf("read how far partition %d is rated: message %d is not the rater's: %w", partition, last.Sequence, err)
	}
	return chunk.Span.Through.Sequence, nil
}
