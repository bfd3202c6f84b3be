package rater

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// DefaultMaxAhead is how far an event's time may lie after its storing.
const DefaultMaxAhead = 5 * time.Minute

const (
	requestTimeout = 10 * time.Second
	retryMin       = 20 * time.Millisecond
	retryMax       = 5 * time.Second
)

// Config sets a rater. The zero value rates every partition.
type Config struct {
	// Partitions of the installation; 0 takes what the installation says, and
	// another number than its own is refused.
	Partitions int
	// Owned are the partitions to rate; nil means all. Two raters of one
	// partition are safe, and slower than one.
	Owned []int
	// MaxAhead is how far an event's time may lie after the time it was stored
	// at; beyond, it is dead-lettered. Default DefaultMaxAhead.
	MaxAhead time.Duration
	Logger   *slog.Logger          // default slog.Default
	Metrics  prometheus.Registerer // nil registers none
}

// State says what a partition's rater is doing.
type State string

// The states of a partition.
const (
	Starting State = "starting" // reading what the ledger says
	Rating   State = "rating"
	Retrying State = "retrying" // after Err, again and again
	Stopped  State = "stopped"  // by Err, until somebody looks at it
)

// Status is how one partition stands.
type Status struct {
	Partition int
	State     State
	Through   events.Position // the last usage event settled
	Known     int             // usage events remembered as charged
	Err       error           // why it is retrying or stopped
}

// Rater rates the usage of some partitions. New makes one, Run runs it once.
type Rater struct {
	js      jetstream.JetStream
	config  Config
	log     *slog.Logger
	metrics *metrics

	// Set by Run before the partitions start.
	usage, ledger jetstream.Stream
	cards         *cards

	mu     sync.Mutex
	status map[int]Status
}

// New returns a rater that is not running yet.
func New(js jetstream.JetStream, c Config) *Rater {
	if c.MaxAhead == 0 {
		c.MaxAhead = DefaultMaxAhead
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Rater{js: js, config: c, log: c.Logger, metrics: newMetrics(c.Metrics), status: map[int]Status{}}
}

// Run rates until ctx ends, and then returns nil. It waits for an installation
// that is not there yet. A partition whose own ledger cannot be read stops, and
// the others go on; when all have stopped, Run returns why.
func (r *Rater) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	owned, err := r.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel() // before the wait
	running.Go(func() { r.cards.follow(ctx) })
	select {
	case <-r.cards.loaded:
	case <-ctx.Done():
		return nil
	}
	stopped := make(chan error, len(owned))
	for _, n := range owned {
		running.Go(func() { stopped <- r.runPartition(ctx, n) })
	}
	var errs []error
	for range owned {
		if err := <-stopped; err != nil {
			errs = append(errs, err)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// Status returns how each owned partition stands, in their order.
func (r *Rater) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	statuses := make([]Status, 0, len(r.status))
	for n := range r.config.Partitions {
		if s, ok := r.status[n]; ok {
			statuses = append(statuses, s)
		}
	}
	return statuses
}

func (r *Rater) setStatus(s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[s.Partition] = s
}

// open finds the installation, however long that takes, and returns the owned
// partitions.
func (r *Rater) open(ctx context.Context) ([]int, error) {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		partitions, err := r.openStreams(ctx)
		if err == nil {
			return r.own(partitions)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.log.Warn("rater waits for the installation", "err", err)
		if err := pause.For(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (r *Rater) openStreams(ctx context.Context) (partitions int, err error) {
	if partitions, err = stream.Partitions(ctx, r.js); err != nil {
		return 0, err
	}
	if r.usage, err = r.js.Stream(ctx, events.StreamUsage); err != nil {
		return 0, fmt.Errorf("open stream %s: %w", events.StreamUsage, err)
	}
	if r.ledger, err = r.js.Stream(ctx, events.StreamLedger); err != nil {
		return 0, fmt.Errorf("open stream %s: %w", events.StreamLedger, err)
	}
	r.cards, err = openCards(ctx, r.js, r.log, r.metrics)
	return partitions, err
}

func (r *Rater) own(partitions int) ([]int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.config.Partitions != 0 && r.config.Partitions != partitions {
		return nil, fmt.Errorf("the installation has %d partitions, the rater is set to %d: they must agree", partitions, r.config.Partitions)
	}
	r.config.Partitions = partitions
	owned := r.config.Owned
	if owned == nil {
		for n := range partitions {
			owned = append(owned, n)
		}
	}
	for _, n := range owned {
		if n < 0 || n >= partitions {
			return nil, fmt.Errorf("partition %d does not exist: the installation has 0 to %d", n, partitions-1)
		}
		r.status[n] = Status{Partition: n, State: Starting}
	}
	return owned, nil
}
