package balances

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// gatherDelay is how long a scan waits for more partitions that want it:
// partitions are gained, and lose their connection, together.
const gatherDelay = 20 * time.Millisecond

// scanner reads what both buckets hold, once for all partitions that ask at
// about the same time. A bucket cannot be read by partition.
type scanner struct {
	broker     stream.Broker
	partitions int
	turn       chan struct{} // one scan at a time

	mu      sync.Mutex
	ctx     context.Context // ends every scan: one serves more than who asked first
	next    *scan           // that can still be joined
	running sync.WaitGroup
}

// scan is one reading of both buckets.
type scan struct {
	wanted map[int]bool
	done   chan struct{}

	// Set before done is closed.
	err               error
	balances, catalog map[int]map[string]known // by partition
}

// start lets scans run until ctx ends.
func (s *scanner) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx
}

// wait returns when no scan is running.
func (s *scanner) wait() { s.running.Wait() }

// request starts, or joins, a scan for a partition. It reads what the buckets
// hold at some time after the request.
func (s *scanner) request(partition int) *scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		job := &scan{wanted: map[int]bool{}, done: make(chan struct{})}
		s.next = job
		s.running.Go(func() { s.run(s.ctx, job) })
	}
	s.next.wanted[partition] = true
	return s.next
}

// run reads both buckets for those who joined.
func (s *scanner) run(ctx context.Context, job *scan) {
	defer close(job.done)
	err := pause.For(ctx, gatherDelay)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	if err == nil {
		job.balances, err = s.read(ctx, job, events.BucketBalances, func(account string) int { return events.Partition(account, s.partitions) })
	}
	if err == nil {
		job.catalog, err = s.read(ctx, job, events.BucketCatalog, func(key string) int { return catalogOwner(key, s.partitions) })
	}
	job.err = err
}

// read reads a whole bucket and keeps the keys of wanted partitions.
func (s *scanner) read(ctx context.Context, job *scan, bucket string, owner func(key string) int) (map[int]map[string]known, error) {
	found := map[int]map[string]known{}
	for partition := range job.wanted {
		found[partition] = map[string]known{}
	}
	err := stream.Newest(ctx, s.broker.Log(stream.BucketLog(bucket)), func(m stream.Message) error {
		key := stream.BucketKey(bucket, m.Subject)
		if keys, ok := found[owner(key)]; ok {
			keys[key] = knownOf(m)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read bucket %s: %w", bucket, err)
	}
	return found, nil
}
