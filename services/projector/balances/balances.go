package balances

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config is what a projector needs from the world. Broker and Partitions are
// required.
type Config struct {
	Broker     stream.Broker
	Partitions int // of the installation
	// Share says which partitions are this projector's; default all.
	Share lease.Share
	// Now is the local clock, which says when to look whether time changed an
	// account; default time.Now. The ledger's own clock decides.
	Now func() time.Time
	// Snapshots keep states of the fold, from which a partition starts when they
	// are of Installation; default none.
	Snapshots    snapshot.Store
	Installation string
	// A snapshot is saved after SnapshotEntries entries (default 200,000), and
	// after SnapshotEvery (default 5 minutes) when there were any.
	SnapshotEntries int
	SnapshotEvery   time.Duration
	// AnswerWithin is how old a command may be, by the ledger's clock, when a
	// partition is gained and still be answered; default 10 s. Nobody waits
	// longer.
	AnswerWithin time.Duration

	Logger     *slog.Logger          // default discards
	Registerer prometheus.Registerer // default a registry of its own
}

// Projector keeps the buckets of its partitions in step with the ledger.
type Projector struct {
	config  Config
	expects int // partitions, before it is ready at all
	metrics *metrics
	scanner scanner
	saves   chan struct{} // one snapshot is held and saved at a time

	mu   sync.Mutex
	held map[int]*partition
}

// New returns a projector that has read nothing yet.
func New(c Config) (*Projector, error) {
	if c.Partitions < 1 {
		return nil, errors.New("project balances: the number of partitions is missing")
	}
	p := &Projector{expects: 1, saves: make(chan struct{}, 1), held: map[int]*partition{}}
	if c.Share == nil {
		c.Share, p.expects = lease.All(c.Partitions), c.Partitions
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.AnswerWithin = cmp.Or(c.AnswerWithin, answerWithin)
	c.SnapshotEntries = cmp.Or(c.SnapshotEntries, snapshotEntries)
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, snapshotEvery)
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
	p.config, p.metrics = c, metrics
	p.scanner = scanner{broker: c.Broker, partitions: c.Partitions, turn: make(chan struct{}, 1)}
	return p, nil
}

const (
	answerWithin    = 10 * time.Second
	snapshotEntries = 200_000
	snapshotEvery   = 5 * time.Minute
	retryDelay      = 250 * time.Millisecond
)

// Status is how far one partition has come.
type Status struct {
	Partition int
	// Sequence is that of the last LEDGER message folded.
	Sequence uint64
	// Live says that the buckets show the partition as it stood when it was
	// gained, or when the connection last came back.
	Live bool
	// Err is why the partition stopped; nil when it did not.
	Err error
}

// Status returns how far each partition that is held has come, in their order.
func (p *Projector) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Status, 0, len(p.held))
	for _, partition := range p.held {
		all = append(all, partition.status.get())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Partition, b.Partition) })
	return all
}

// Ready reports whether partitions are held, and every one of them that has not
// stopped is live.
func (p *Projector) Ready() bool {
	all := p.Status()
	for _, s := range all {
		if !s.Live && s.Err == nil {
			return false
		}
	}
	return len(all) >= p.expects
}

// Run projects the partitions it is given until ctx ends: whatever goes wrong
// with one it tries again. A partition that stopped is in Status.
func (p *Projector) Run(ctx context.Context) error {
	p.scanner.start(ctx)
	defer p.scanner.wait()
	if err := p.config.Share.Run(ctx, p.work); err != nil && ctx.Err() == nil {
		return fmt.Errorf("share the partitions of the ledger: %w", err)
	}
	return nil
}

// work projects one partition for as long as it is held.
func (p *Projector) work(ctx context.Context, held *lease.Held) {
	partition := p.newPartition(held)
	p.mu.Lock()
	p.held[held.Partition] = partition
	p.mu.Unlock()
	partition.run(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, held.Partition)
}
