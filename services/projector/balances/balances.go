package balances

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config is what a projector needs from the world. NATS, JetStream and Streams
// are required.
type Config struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Streams   *stream.Streams
	// Owned are the partitions to project; default all.
	Owned []int
	// Now is the local clock, which says when to look whether time changed an
	// account; default time.Now. The ledger's own clock decides.
	Now func() time.Time

	Logger     *slog.Logger          // default discards
	Registerer prometheus.Registerer // default a registry of its own
}

// Projector keeps the buckets of its partitions in step with the ledger.
type Projector struct {
	config     Config
	metrics    *metrics
	publisher  jetstream.JetStream
	partitions []*partition
}

// New returns a projector that has read nothing yet.
func New(c Config) (*Projector, error) {
	if c.Owned == nil {
		for p := range c.Streams.Partitions {
			c.Owned = append(c.Owned, p)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	metrics, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register the projector's metrics: %w", err)
	}
	publisher, err := jetstream.New(c.NATS, jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncMaxPending(2*putWindow*max(1, len(c.Owned))))
	if err != nil {
		return nil, fmt.Errorf("open JetStream for puts: %w", err)
	}
	p := &Projector{config: c, metrics: metrics, publisher: publisher}
	for _, number := range c.Owned {
		if number < 0 || number >= c.Streams.Partitions {
			return nil, fmt.Errorf("project partition %d: there are partitions 0 to %d", number, c.Streams.Partitions-1)
		}
		p.partitions = append(p.partitions, newPartition(number, &p.config, metrics, publisher))
	}
	return p, nil
}

// Status is how far one partition has come.
type Status struct {
	Partition int
	// Sequence is that of the last LEDGER message folded.
	Sequence uint64
	// Live says that the buckets show the partition as it stood when the
	// projector, or its connection, last started.
	Live bool
	// Err is why the partition stopped for good; nil when it did not.
	Err error
}

// Status returns how far each owned partition has come.
func (p *Projector) Status() []Status {
	all := make([]Status, 0, len(p.partitions))
	for _, partition := range p.partitions {
		all = append(all, partition.status.get())
	}
	return all
}

// Ready reports whether every partition that has not stopped is live.
func (p *Projector) Ready() bool {
	for _, s := range p.Status() {
		if !s.Live && s.Err == nil {
			return false
		}
	}
	return true
}

// Run projects until ctx ends and then returns nil: whatever else goes wrong
// it tries again. A partition that stopped is in Status.
func (p *Projector) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := p.runConnected(ctx)
		if ctx.Err() != nil {
			break
		}
		p.config.Logger.Warn("balances are compared again", "err", err)
		wait(ctx, retryDelay)
	}
	return nil
}

const (
	retryDelay = 250 * time.Millisecond
	ackTimeout = 5 * time.Second
)

var errReconnected = errors.New("the connection to NATS was renewed")

// runConnected projects until the connection is renewed. A server that was
// killed may have lost the end of a bucket, so both are read again then.
func (p *Projector) runConnected(ctx context.Context) error {
	connected := p.config.NATS.StatusChanged(nats.CONNECTED)
	defer p.config.NATS.RemoveStatusListener(connected)
	if err := p.scan(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	for _, partition := range p.partitions {
		running.Go(func() { partition.run(ctx) })
	}
	select {
	case <-connected:
		stop(errReconnected)
		return errReconnected
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait returns after d or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
