package balances_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

var errFull = errors.New("insufficient resources")

// full is a broker whose buckets take no appends for a while, as when a disk is
// full: reads work.
type full struct {
	stream.Broker
	refusals atomic.Int64 // left
	rounds   atomic.Int64 // of appends that were refused
}

func (f *full) Log(name string) stream.Log {
	if name != "KV_"+events.BucketBalances {
		return f.Broker.Log(name)
	}
	return &fullLog{Log: f.Broker.Log(name), full: f}
}

type fullLog struct {
	stream.Log
	full *full
}

// refuses says whether a round of appends is refused.
func (f *full) refuses() bool {
	if f.refusals.Add(-1) < 0 {
		return false
	}
	f.rounds.Add(1)
	return true
}

func (l *fullLog) Append(ctx context.Context, a stream.Append) (uint64, error) {
	if l.full.refuses() {
		return 0, errFull
	}
	return l.Log.Append(ctx, a)
}

func (l *fullLog) AppendAll(ctx context.Context, all []stream.Append) []stream.Appended {
	if !l.full.refuses() {
		return l.Log.AppendAll(ctx, all)
	}
	refused := make([]stream.Appended, len(all))
	for i := range refused {
		refused[i].Err = errFull
	}
	return refused
}

// tried is how often a bucket that takes nothing for a minute may be asked.
const tried = 60 * 4

func TestABucketThatTakesNothingIsAskedNowAndThen(t *testing.T) {
	inBubble(t, func(b *bubble) {
		log, share := &logs{}, newGivenOne()
		broker := &full{Broker: b.network.Connect("projector")}
		p, err := balances.New(balances.Config{
			Broker: broker, Partitions: partitions, Share: share, Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		defer running.Wait()
		defer stop()
		b.await(func() bool { return share.held.Last().State == lease.StateLive })
		live := share.held.Last()

		broker.refusals.Store(tried)
		for i := range 3 {
			b.grant(accountOf(0, i), "g")
		}
		b.await(func() bool { return broker.rounds.Load() > 1 })
		if r := share.held.Last(); r.State != lease.StateRetrying || r.Error == "" {
			b.Errorf("while nothing is taken it reports %+v; want that it tries again, and why", r)
		}
		tries := 0
		b.await(func() bool { tries++; return broker.refusals.Load() < 0 })
		if tries < tried { // milliseconds, and a try comes every 250
			b.Errorf("%d refusals passed within %d ms; want a pause after each", tried, tries)
		}
		b.awaitEqual()
		b.await(func() bool { r := share.held.Last(); return r.State == lease.StateLive && r.Sequence > live.Sequence })
		if refused, taken := log.lines("values are refused"), log.lines("values are taken again"); len(refused) != 1 || len(taken) != 1 {
			b.Errorf("said %q and %q; want each once", refused, taken)
		}
	})
}

func TestARebuildAsksABucketThatTakesNothingNowAndThen(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.put("nobody", nats.Header{}, "{}") // is to be removed
		broker := &full{Broker: b.network.Connect("rebuild")}
		broker.refusals.Store(tried)
		done := make(chan error, 1)
		go func() {
			_, err := balances.Rebuild(b.Context(), balances.RebuildConfig{Broker: broker, Partitions: partitions}, nil)
			done <- err
		}()
		tries := 0
		b.await(func() bool { tries++; return broker.refusals.Load() < 0 })
		if tries < tried {
			b.Errorf("%d refusals passed within %d ms; want a pause after each", tried, tries)
		}
		if err := <-done; err != nil {
			b.Error(err)
		}
		if held := b.held(); len(held) != 0 {
			b.Errorf("the bucket holds %v; want nothing", held)
		}
	})
}

// one gives out partition 0 and shows what it reports.
type one struct{ held *lease.Held }

func newGivenOne() *one { return &one{held: &lease.Held{}} }

func (o *one) Run(ctx context.Context, work lease.Work) error {
	work(ctx, o.held)
	return nil
}
