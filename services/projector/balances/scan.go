package balances

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// scan reads what both buckets hold, once for all partitions.
func (p *Projector) scan(ctx context.Context) error {
	n := p.config.Streams.Partitions
	balances, catalogs := make([]*bucket, n), make([]*bucket, n)
	for _, partition := range p.partitions {
		balances[partition.number], catalogs[partition.number] = partition.balances, partition.catalog
	}
	err := p.scanBucket(ctx, events.BucketBalances, balances, func(account string) int { return events.Partition(account, n) })
	if err != nil {
		return err
	}
	return p.scanBucket(ctx, events.BucketCatalog, catalogs, func(key string) int { return catalogOwner(key, n) })
}

// scanBucket reads a whole bucket and notes each key in the partition's that
// owns it, if any.
func (p *Projector) scanBucket(ctx context.Context, name string, buckets []*bucket, owner func(key string) int) error {
	s, err := p.config.JetStream.Stream(ctx, "KV_"+name)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", name, err)
	}
	for _, b := range buckets {
		if b != nil {
			b.stream, b.known = s, map[string]known{}
		}
	}
	prefix := bucketPrefix(name)
	err = readAll(ctx, s, func(m stream.Message) {
		key := strings.TrimPrefix(m.Subject, prefix)
		if b := buckets[owner(key)]; b != nil {
			b.learn(key, m)
		}
	})
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", name, err)
	}
	ledger, err := p.config.JetStream.Stream(ctx, events.StreamLedger)
	if err != nil {
		return fmt.Errorf("look up the end of the ledger: %w", err)
	}
	for _, b := range buckets {
		if b != nil {
			b.distrust(ledger.CachedInfo().State.LastSeq)
		}
	}
	return nil
}

func bucketPrefix(name string) string { return "$KV." + name + "." }

// readAll hands over every message of s, just looked up, up to its end.
func readAll(ctx context.Context, s jetstream.Stream, each func(stream.Message)) error {
	if s.CachedInfo().State.Msgs == 0 {
		return nil
	}
	reader, err := stream.Read(ctx, s, 0)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		each(m)
		if m.Pending == 0 {
			return nil
		}
	}
}
