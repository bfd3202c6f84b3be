package enforcer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config is what an enforcer needs from the world. Broker and Partitions are
// required.
type Config struct {
	Broker     stream.Broker
	Partitions int // of the installation
	// Share gives the partitions whose accounts this enforcer tells; nil means
	// all of them. Two enforcers of one partition are safe.
	Share lease.Share

	Logger     *slog.Logger          // default discards
	Registerer prometheus.Registerer // default a registry of its own
}

const (
	retryDelay = 100 * time.Millisecond
	// tickPeriod is how often partitions report although nothing happens.
	tickPeriod = time.Second
	// rewindPeriod is how often the streams are compared with what was read of
	// them: a cluster can lose its end without a connection breaking.
	rewindPeriod = 5 * time.Second
)

// Enforcer publishes signals.
type Enforcer struct {
	config  Config
	metrics *metrics

	balances, signals, ledger stream.Log

	mu      sync.Mutex
	held    map[int]*partition // by number
	changed chan struct{}      // receives when held has
}

// New returns an enforcer that watches nothing yet.
func New(c Config) (*Enforcer, error) {
	if c.Broker == nil || c.Partitions < 1 {
		return nil, errors.New("build enforcer: Broker and Partitions are required")
	}
	if c.Share == nil {
		c.Share = lease.All(c.Partitions)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	metrics, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register the enforcer's metrics: %w", err)
	}
	return &Enforcer{
		config: c, metrics: metrics, held: map[int]*partition{}, changed: make(chan struct{}, 1),
		balances: c.Broker.Log(stream.BucketLog(events.BucketBalances)), signals: c.Broker.Log(events.StreamSignals), ledger: c.Broker.Log(events.StreamLedger),
	}, nil
}

// Run publishes signals until ctx ends and then returns nil, or the error of
// its share: whatever else goes wrong it tries again, beginning with all
// balances.
func (e *Enforcer) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { e.watch(watching) })
	err := e.config.Share.Run(ctx, e.work)
	stop()
	return err
}

// work tells the accounts of one partition while it is held.
func (e *Enforcer) work(ctx context.Context, held *lease.Held) {
	p := newPartition(e, held)
	e.hold(p)
	p.run(ctx)
	e.release(p)
}

func (e *Enforcer) hold(p *partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[p.held.Partition] = p
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func (e *Enforcer) release(p *partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.held, p.held.Partition)
	close(p.gone)
}

// partitions returns what is held now.
func (e *Enforcer) partitions() []*partition {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*partition, 0, len(e.held))
	for _, p := range e.held {
		all = append(all, p)
	}
	return all
}

// of returns the partition of an account, if it is held.
func (e *Enforcer) of(account string) *partition {
	number := events.Partition(account, e.config.Partitions)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held[number]
}

// Ready reports whether partitions are held, and all of them have looked at all
// of their balances.
func (e *Enforcer) Ready() bool {
	all := e.partitions()
	for _, p := range all {
		if p.held.Last().State != lease.StateLive {
			return false
		}
	}
	return len(all) > 0
}

// watch runs sessions until ctx ends.
func (e *Enforcer) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.session(ctx)
		if ctx.Err() != nil {
			return
		}
		e.config.Logger.Warn("all balances are looked at again", "err", err)
		_ = pause.For(ctx, retryDelay) // the loop looks at ctx
	}
}
