package rater

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// Defaults of Config.
const (
	DefaultHorizon  = 72 * time.Hour
	DefaultMaxAhead = 5 * time.Minute
)

const (
	requestTimeout = 10 * time.Second
	retryMin       = 20 * time.Millisecond
	retryMax       = 5 * time.Second
	// saveEvery is how often a partition that rates moves its index, and
	// saveKeysMax how many events it charges at most until it does.
	saveEvery   = time.Second
	saveKeysMax = 1 << 14
	// verifyEvery is how often a partition that rates checks that the streams
	// still hold what it stands on: a cluster can lose its tail without a
	// connection breaking.
	verifyEvery = 3 * time.Second
)

// Config sets a rater.
type Config struct {
	// Broker is where the streams are.
	Broker stream.Broker
	// Share gives the partitions to rate; nil means all of them. Two raters of
	// one partition are safe, and slower than one.
	Share lease.Share
	// Partitions of the installation, and its id.
	Partitions   int
	Installation string
	// StateDir is the folder of what the rater keeps between runs; it is made.
	// Without one, each run reads from the ledger what it needs.
	StateDir string
	// Disk is where StateDir is; nil means on the machine's own.
	Disk vfs.FS
	// Horizon is how long before the time it was stored at an event's time may
	// lie, and how long its id is remembered at least. Default DefaultHorizon.
	Horizon time.Duration
	// MaxAhead is how far an event's time may lie after the time it was stored
	// at; beyond, it is dead-lettered. Default DefaultMaxAhead.
	MaxAhead time.Duration
	Logger   *slog.Logger          // default slog.Default
	Metrics  prometheus.Registerer // nil registers none
}

// Rater rates the usage of some partitions. New makes one, Run runs it once.
type Rater struct {
	config  Config
	log     *slog.Logger
	metrics *metrics

	usage, ledger, deadLetters stream.Log
	cards                      *cards
	accounts                   *accounts
	cache                      *dedup.Cache // while it runs
}

// New returns a rater that is not running yet.
func New(c Config) *Rater {
	if c.Horizon == 0 {
		c.Horizon = DefaultHorizon
	}
	if c.MaxAhead == 0 {
		c.MaxAhead = DefaultMaxAhead
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Share == nil {
		c.Share = lease.All(c.Partitions)
	}
	m := newMetrics(c.Metrics)
	return &Rater{
		config: c, log: c.Logger, metrics: m, cards: newCards(c.Broker, c.Logger, m), accounts: newAccounts(c.Broker, c.Logger),
		usage: c.Broker.Log(events.StreamUsage), ledger: c.Broker.Log(events.StreamLedger),
		deadLetters: c.Broker.Log(events.StreamDeadLetter),
	}
}

// Run rates the partitions it is given until ctx ends, and then returns nil. It
// waits for streams that are not there yet. A partition on which going on would
// risk a wrong charge stops, and the others go on.
func (r *Rater) Run(ctx context.Context) error {
	if r.config.Partitions < 1 {
		return errors.New("the rater is told of no partitions; expected the number that the installation has")
	}
	r.cache = dedup.NewCache()
	defer r.cache.Close()
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel() // before the wait
	following.Go(func() { r.cards.follow(ctx) })
	following.Go(func() { r.accounts.follow(ctx) })
	select {
	case <-r.cards.loaded:
	case <-ctx.Done():
		return nil
	}
	if err := r.config.Share.Run(ctx, r.work); err != nil && ctx.Err() == nil {
		return fmt.Errorf("share partitions: %w", err)
	}
	return nil
}
