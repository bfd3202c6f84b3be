package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const settlePoll = 100 * time.Millisecond

// settle waits until the services have done what is there to do. What is still
// undone when its time is up is a difference.
func settle(ctx context.Context, c Config, r *Report) error {
	deadline := time.Now().Add(c.Settle)
	ticker := time.NewTicker(settlePoll)
	defer ticker.Stop()
	for {
		behind, err := lagging(ctx, c)
		if err != nil {
			return err
		}
		if behind == "" {
			return nil
		}
		if time.Now().After(deadline) {
			r.differ("usage", "after %s still: %s", c.Settle, behind)
			return nil
		}
		c.Progress("settle", 0, 0)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lagging says who has not caught up, or nothing.
func lagging(ctx context.Context, c Config) (string, error) {
	for partition := range c.Streams.Partitions {
		settled, err := settledThrough(ctx, c, partition)
		if err != nil {
			return "", err
		}
		for _, subject := range []string{fmt.Sprintf("usage.%d.*", partition), events.BatchSubject(partition)} {
			last, ok, err := stream.Last(ctx, c.Streams.Usage, subject)
			if err != nil {
				return "", err
			}
			if ok && last.Sequence > settled {
				return fmt.Sprintf("partition %d is rated through USAGE sequence %d of %d", partition, settled, last.Sequence), nil
			}
		}
		if behind, err := balancesLagging(ctx, c, partition); behind != "" || err != nil {
			return behind, err
		}
	}
	return clickHouseLagging(ctx, c)
}

// settledThrough is the last USAGE sequence that a partition's rater settled.
func settledThrough(ctx context.Context, c Config, partition int) (uint64, error) {
	last, ok, err := stream.Last(ctx, c.Streams.Ledger, events.LedgerSubject(partition, events.WriterUsage))
	if err != nil || !ok {
		return 0, err
	}
	chunk, err := events.DecodeChunk(last.Data)
	if err != nil || chunk.Span == nil {
		return 0, nil // reading the ledger will name the message
	}
	return chunk.Span.Through.Sequence, nil
}

// balancesLagging looks whether the partition's newest entry shows in the
// balance of its account.
func balancesLagging(ctx context.Context, c Config, partition int) (string, error) {
	last, ok, err := stream.Last(ctx, c.Streams.Ledger, fmt.Sprintf("ledger.%d.*", partition))
	if err != nil || !ok {
		return "", err
	}
	chunk, err := events.DecodeChunk(last.Data)
	if err != nil || len(chunk.Entries) == 0 {
		return "", nil
	}
	account := chunk.Entries[len(chunk.Entries)-1].Account
	entry, err := c.Streams.Balances.Get(ctx, account)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return fmt.Sprintf("account %s has no balance yet", account), nil
	}
	if err != nil {
		return "", fmt.Errorf("read the balance of %s: %w", account, err)
	}
	var balance events.Balance
	if err := json.Unmarshal(entry.Value(), &balance); err != nil {
		return "", nil // the comparison will name it
	}
	if balance.Sequence < last.Sequence {
		return fmt.Sprintf("the balance of %s stands at ledger sequence %d of %d", account, balance.Sequence, last.Sequence), nil
	}
	return "", nil
}

func clickHouseLagging(ctx context.Context, c Config) (string, error) {
	info, err := c.Streams.Ledger.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("look at stream %s: %w", events.StreamLedger, err)
	}
	through, err := c.Analytics.ProjectedThrough(ctx)
	if err != nil {
		return "", fmt.Errorf("ask ClickHouse how far it is: %w", err)
	}
	if through < info.State.LastSeq {
		return fmt.Sprintf("ClickHouse holds the ledger through %d of %d", through, info.State.LastSeq), nil
	}
	return "", nil
}
