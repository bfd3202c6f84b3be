package balances

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	batchMax     = 256  // messages folded before the buckets are written
	reconcileMax = 1024 // keys compared at a time
)

// partition is the projection of one partition. Its goroutine alone touches it,
// but for status.
type partition struct {
	*fold
	config   *Config
	balances *bucket
	catalog  *bucket
	clock    clock
	status   status

	lag     prometheus.Gauge
	stopped prometheus.Gauge
}

func newPartition(number int, c *Config, m *metrics, publisher jetstream.JetStream) *partition {
	newBucket := func(name string) *bucket {
		return &bucket{publisher: publisher, prefix: bucketPrefix(name), puts: m.puts.WithLabelValues(name)}
	}
	label := strconv.Itoa(number)
	return &partition{
		fold:     newFold(number, c.Streams.Partitions, m.entries.WithLabelValues(label)),
		config:   c,
		balances: newBucket(events.BucketBalances),
		catalog:  newBucket(events.BucketCatalog),
		status:   status{Status: Status{Partition: number}},
		lag:      m.lag.WithLabelValues(label),
		stopped:  m.stopped.WithLabelValues(label),
	}
}

// run follows the ledger until ctx ends or the partition stops for good.
func (p *partition) run(ctx context.Context) {
	defer p.status.update(func(s *Status) { s.Live = false })
	for ctx.Err() == nil && p.status.get().Err == nil {
		err := p.follow(ctx)
		var unreadable *unreadableError
		switch {
		case errors.As(err, &unreadable):
			p.stopped.Set(1)
			p.status.update(func(s *Status) { s.Err = err })
			p.config.Logger.Error("partition stopped", "partition", p.number, "seq", unreadable.sequence, "err", err)
		case ctx.Err() == nil:
			p.config.Logger.Warn("partition starts to follow again", "partition", p.number, "err", err)
			wait(ctx, retryDelay)
		}
	}
}

// follow folds from where the fold stands: first up to the end of the ledger,
// writing nothing; then it brings the buckets in step, and from there on keeps
// them so.
func (p *partition) follow(ctx context.Context) error {
	end, err := p.end(ctx)
	if err != nil {
		return err
	}
	p.fold.begin(end)
	reader, err := stream.Read(ctx, p.config.Streams.Ledger, p.through+1, events.PartitionLedgerSubjects(p.number)...)
	if err != nil {
		return err
	}
	defer reader.Close()
	var unreadable error
	for p.through < end && unreadable == nil {
		batch, err := reader.Batch(ctx, batchMax)
		if err != nil {
			return err
		}
		unreadable = p.apply(batch)
	}
	if err := p.reconcile(ctx); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	p.status.update(func(s *Status) { s.Live = true })
	return p.live(ctx, reader)
}

// end is the sequence of the partition's last LEDGER message.
func (p *partition) end(ctx context.Context) (uint64, error) {
	var end uint64
	for _, subject := range events.PartitionLedgerSubjects(p.number) {
		m, ok, err := stream.Last(ctx, p.config.Streams.Ledger, subject)
		if err != nil {
			return 0, err
		}
		if ok {
			end = max(end, m.Sequence)
		}
	}
	return end, nil
}

// live folds what comes. While the puts of one batch wait for their acks the
// next batch fills, so puts are coalesced just as much as there is traffic.
func (p *partition) live(ctx context.Context, reader *stream.Reader) error {
	for {
		if err := p.tick(ctx); err != nil {
			return err
		}
		batch, err := p.next(ctx, reader)
		if err != nil {
			return err
		}
		unreadable := p.apply(batch)
		if err := p.flush(ctx); err != nil {
			return err
		}
		if unreadable != nil {
			return unreadable
		}
	}
}

// next waits for messages, at most until it is time to look at the clock.
func (p *partition) next(ctx context.Context, reader *stream.Reader) ([]stream.Message, error) {
	var due <-chan time.Time
	if d, ok := p.clock.until(p.state, p.config.Now()); ok {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	var batch []stream.Message
	select {
	case m := <-reader.Messages():
		batch = append(batch, m)
	case <-due:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for len(batch) < batchMax {
		select {
		case m := <-reader.Messages():
			batch = append(batch, m)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// apply folds a batch up to a message that is not the ledger's.
func (p *partition) apply(batch []stream.Message) error {
	for _, m := range batch {
		if err := p.message(m); err != nil {
			return err
		}
		if m.Subject == events.LedgerSubject(p.number, events.WriterClock) {
			p.clock.back(m, p.state, p.config.Now())
		}
		p.lag.Set(float64(m.Pending))
	}
	p.status.update(func(s *Status) { s.Sequence = p.through })
	return nil
}

// flush writes what the fold touched, and then answers.
func (p *partition) flush(ctx context.Context) error {
	balances, err := p.touchedBalances()
	if err != nil {
		return err
	}
	catalog, err := p.touchedCatalog()
	if err != nil {
		return err
	}
	if err := p.balances.write(ctx, balances); err != nil {
		return err
	}
	if err := p.catalog.write(ctx, catalog); err != nil {
		return err
	}
	p.settle()
	return p.answer()
}

// reconcile writes every key that does not hold what the fold says.
func (p *partition) reconcile(ctx context.Context) error {
	p.settle()
	for account := range p.state.Accounts() {
		p.touched[account] = struct{}{}
		if len(p.touched) >= reconcileMax {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	for key := range p.places {
		p.touchedKeys[key] = struct{}{}
	}
	return p.flush(ctx)
}

// answer publishes the decisions whose effects the buckets now show.
func (p *partition) answer() error {
	for len(p.replies) > 0 {
		if err := p.config.NATS.Publish(p.replies[0].subject, p.replies[0].body); err != nil {
			return fmt.Errorf("answer a command: %w", err)
		}
		p.replies = p.replies[1:]
	}
	return nil
}

// status is a Status that other goroutines read.
type status struct {
	mu sync.Mutex
	Status
}

func (s *status) get() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Status
}

func (s *status) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.Status)
}
