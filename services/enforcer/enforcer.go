package enforcer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config is what an enforcer needs from the world. JetStream and Streams are
// required.
type Config struct {
	JetStream jetstream.JetStream
	Streams   *stream.Streams
	// Workers is how many accounts are told something at the same time;
	// default 16.
	Workers int

	Logger     *slog.Logger          // default discards
	Registerer prometheus.Registerer // default a registry of its own
}

const (
	workersDefault = 16
	retryDelay     = 100 * time.Millisecond
	// rewindPeriod is how often the watch is compared with the end of BALANCES.
	rewindPeriod = 5 * time.Second
)

// Enforcer publishes signals.
type Enforcer struct {
	config  Config
	metrics *metrics
	ready   atomic.Bool
}

// New returns an enforcer that watches nothing yet.
func New(c Config) (*Enforcer, error) {
	if c.Workers <= 0 {
		c.Workers = workersDefault
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
	return &Enforcer{config: c, metrics: metrics}, nil
}

// Ready reports whether the watch has come to the end of BALANCES since it last
// began.
func (e *Enforcer) Ready() bool { return e.ready.Load() }

// Run publishes signals until ctx ends and then returns nil: whatever else goes
// wrong it tries again, beginning with all balances.
func (e *Enforcer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := e.runConnected(ctx)
		e.ready.Store(false)
		if ctx.Err() != nil {
			break
		}
		e.config.Logger.Warn("all balances are looked at again", "err", err)
		wait(ctx, retryDelay)
	}
	return nil
}

var (
	errReconnected = errors.New("the connection to NATS was renewed")
	errRewound     = errors.New("the bucket of balances lost its end or was made anew")
)

// runConnected watches until the connection is renewed: a server that was
// killed may have lost the end of BALANCES and give its sequences out again.
func (e *Enforcer) runConnected(ctx context.Context) error {
	conn := e.config.JetStream.Conn()
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)
	workers := e.newWorkers()
	if err := e.load(ctx, workers); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	for _, w := range workers {
		running.Go(func() { w.run(ctx) })
	}
	running.Go(func() {
		select {
		case <-connected:
			stop(errReconnected)
		case <-ctx.Done():
		}
	})
	return e.watch(ctx, workers)
}

func (e *Enforcer) newWorkers() []*worker {
	workers := make([]*worker, e.config.Workers)
	for i := range workers {
		workers[i] = &worker{
			config: &e.config, metrics: e.metrics,
			balances: make(chan stream.Message, workerBuffer), accounts: map[string]account{},
		}
	}
	return workers
}

var seed = maphash.MakeSeed()

// workerOf returns the worker that tells an account everything it is told.
func workerOf(workers []*worker, account string) *worker {
	return workers[maphash.String(seed, account)%uint64(len(workers))]
}

// load reads the last signal of each kind of every account.
func (e *Enforcer) load(ctx context.Context, workers []*worker) error {
	signals, err := e.config.JetStream.Stream(ctx, events.StreamSignals)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", events.StreamSignals, err)
	}
	if signals.CachedInfo().State.Msgs == 0 {
		return nil
	}
	consumer, err := signals.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", events.StreamSignals, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read stream %s: %w", events.StreamSignals, err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read the last signals: %w", err)
		}
		metadata, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read the last signals: %w", err)
		}
		name := m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:]
		w := workerOf(workers, name)
		w.accounts[name] = w.accounts[name].heard(m.Data(), metadata.Sequence.Stream)
		if metadata.NumPending == 0 {
			return nil
		}
	}
}

// watch hands every balance to its account's worker: first all there are, in
// the order they were written, then each as it is written.
func (e *Enforcer) watch(ctx context.Context, workers []*worker) error {
	const name = "KV_" + events.BucketBalances
	bucket, err := e.config.JetStream.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", events.BucketBalances, err)
	}
	reader, err := stream.Read(ctx, bucket, 0)
	if err != nil {
		return err
	}
	defer reader.Close()
	e.ready.Store(bucket.CachedInfo().State.Msgs == 0)
	look := time.NewTicker(rewindPeriod)
	defer look.Stop()
	seen := uint64(0)
	for {
		select {
		case m := <-reader.Messages():
			seen = m.Sequence
			select {
			case workerOf(workers, keyOf(m)).balances <- m:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if m.Pending == 0 {
				e.ready.Store(true)
			}
		case <-look.C:
			now, err := e.config.JetStream.Stream(ctx, name)
			if err != nil {
				return fmt.Errorf("open bucket %s: %w", events.BucketBalances, err)
			}
			if now.CachedInfo().State.LastSeq < seen || !now.CachedInfo().Created.Equal(bucket.CachedInfo().Created) {
				return errRewound
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// keyOf is the key of a bucket's message: the account.
func keyOf(m stream.Message) string {
	return strings.TrimPrefix(m.Subject, "$KV."+events.BucketBalances+".")
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
