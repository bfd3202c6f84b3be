// Package bench measures a running installation from outside, over the public
// edges alone: usage events in by the SDK and as single messages, balances out
// of KV, signals out of the stream. It is an instrument, not a test: it
// asserts nothing but that the figures belong to events that really arrived.
package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Operation is what the benchmark's calls are; the rate card must charge each
// Price per call.
const Operation = "POST /bench"

// Config says what to measure.
type Config struct {
	NATS     *nats.Conn
	Streams  *stream.Streams
	Events   int // per throughput run
	Accounts int // that share them
	Trials   int // of latency, per load
	Price    events.Credits
	// Grant gives an account credits, by whatever means the caller has.
	Grant func(ctx context.Context, account string, amount events.Credits) error
	// Hold places a hold over HTTP.
	Hold func(ctx context.Context, account string, h events.Hold) error
	// Progress is told what is going on.
	Progress func(format string, v ...any)
}

// Throughput is one run from the first publish to the last balance.
type Throughput struct {
	How       string  `json:"how"`
	Events    int     `json:"events"`
	PerSecond float64 `json:"events_per_second"`
	// Stored is the rate at which the events were acknowledged.
	Stored float64 `json:"stored_per_second"`
}

// Latency is the time from publishing the event that exhausts an account to
// receiving credits.exhausted, in milliseconds.
type Latency struct {
	Load   float64 `json:"load_events_per_second"`
	Trials int     `json:"trials"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// Run names one benchmark, so that its accounts and events are new.
type Run struct {
	Config
	name string
	js   jetstream.JetStream
}

// New starts a series of measurements.
func New(c Config) (*Run, error) {
	js, err := jetstream.New(c.NATS, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Run{Config: c, name: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36), js: js}, nil
}

func (r *Run) account(series string, i int) string {
	return r.name + "-" + series + "-" + strconv.Itoa(i)
}

func (r *Run) usage(series, account string, i int) events.Usage {
	return events.Usage{
		Source: "/drawdown/bench/" + r.name + "/" + series, ID: strconv.Itoa(i), Account: account, Time: time.Now().UTC(),
		Data: events.UsageData{Operation: Operation, Status: 200, Project: "web", Key: "key_7f3",
			Quantities: map[string]events.Quantity{"tokens_in": events.WholeQuantity(374), "tokens_out": events.WholeQuantity(44)},
			Attributes: map[string]string{"model": "large", "region": "eu"}},
	}
}

// fund gives the accounts of a series credits enough for any benchmark, so
// that what is measured is not a storm of signals.
func (r *Run) fund(ctx context.Context, series string) error {
	return r.grantAll(ctx, series, r.Accounts, events.MaxCredits)
}

const grantsAtOnce = 16

func (r *Run) grantAll(ctx context.Context, series string, n int, amount events.Credits) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(grantsAtOnce)
	for i := range n {
		account := r.account(series, i)
		group.Go(func() error {
			if err := r.Grant(ctx, account, amount); err != nil {
				return fmt.Errorf("grant to %s: %w", account, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// charged watches balances until the accounts of a series have been charged
// total altogether.
func (r *Run) charged(ctx context.Context, series string, total events.Credits) (wait func() error, err error) {
	watcher, err := r.Streams.Balances.WatchAll(ctx, jetstream.UpdatesOnly())
	if err != nil {
		return nil, fmt.Errorf("watch balances: %w", err)
	}
	done := make(chan error, 1)
	prefix := r.name + "-" + series + "-"
	go func() {
		defer func() { _ = watcher.Stop() }() // only ends the subscription
		charged := map[string]events.Credits{}
		sum := events.Credits(0)
		for sum < total {
			select {
			case entry := <-watcher.Updates():
				if entry == nil || len(entry.Key()) < len(prefix) || entry.Key()[:len(prefix)] != prefix {
					continue
				}
				var balance struct {
					Charged events.Credits `json:"charged"`
				}
				if err := json.Unmarshal(entry.Value(), &balance); err != nil {
					done <- fmt.Errorf("decode the balance of %s: %w", entry.Key(), err)
					return
				}
				sum += balance.Charged - charged[entry.Key()]
				charged[entry.Key()] = balance.Charged
			case <-ctx.Done():
				done <- fmt.Errorf("%s of %s credits charged when time was up: %w", sum, total, context.Cause(ctx))
				return
			}
		}
		done <- nil
	}()
	return func() error { return <-done }, nil
}

// quantile returns the q-th quantile of sorted durations, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}

func latencyOf(load float64, took []time.Duration) Latency {
	slices.Sort(took)
	return Latency{
		Load: load, Trials: len(took),
		P50: quantile(took, 0.50), P99: quantile(took, 0.99), Max: quantile(took, 1),
	}
}
