package balances_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// counting counts the readers of the whole bucket BALANCES.
type counting struct {
	stream.Broker
	scans atomic.Int64
}

func (c *counting) Log(name string) stream.Log {
	return &countingLog{Log: c.Broker.Log(name), scans: &c.scans}
}

type countingLog struct {
	stream.Log
	scans *atomic.Int64
}

func (l *countingLog) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	if l.Name() == "KV_"+events.BucketBalances {
		l.scans.Add(1)
	}
	return l.Log.Read(ctx, from, subjects...)
}

// given gives out partitions as they come.
type given chan int

func (g given) Run(ctx context.Context, work lease.Work) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case p := <-g:
			running.Go(func() { work(ctx, &lease.Held{Partition: p}) })
		case <-ctx.Done():
			return nil
		}
	}
}

func TestPartitionsGainedTogetherReadTheBucketOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 16
		server := simulated.NewServer()
		server.Install(many)
		put := stream.Append{Subject: "$KV." + events.BucketBalances + ".ada", Data: []byte("{}")}
		if _, err := server.Append("KV_"+events.BucketBalances, put); err != nil {
			t.Fatal(err)
		}
		network := simulated.NewNetwork(server)
		broker, share := &counting{Broker: network.Connect("projector")}, make(given)
		p, err := balances.New(balances.Config{Broker: broker, Partitions: many, Share: share})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { network.Serve(ctx) })
		running.Go(func() { _ = p.Run(ctx) })
		if p.Ready() {
			t.Error("ready before it has anything")
		}
		for partition := range many - 1 {
			share <- partition
		}
		awaitReady(p, many-1)
		if n := broker.scans.Load(); n != 1 {
			t.Errorf("the bucket was read %d times for %d partitions gained together; want once", n, many-1)
		}
		share <- many - 1
		awaitReady(p, many)
		if n := broker.scans.Load(); n != 2 {
			t.Errorf("the bucket was read %d times; want once more for the partition gained later", n)
		}
		stop()
		running.Wait()
		if len(p.Status()) != 0 {
			t.Errorf("after the end it still holds %+v", p.Status())
		}
	})
}

// awaitReady waits, in a bubble, until n partitions are live.
func awaitReady(p *balances.Projector, n int) {
	for len(p.Status()) < n || !p.Ready() {
		<-time.After(time.Millisecond) // of the bubble's clock
	}
}

// vanishing is a broker whose bucket BALANCES gives nothing of what it is said
// to hold, the first time it is read.
type vanishing struct {
	stream.Broker
	readings atomic.Int64
}

func (v *vanishing) Log(name string) stream.Log {
	if name != "KV_"+events.BucketBalances {
		return v.Broker.Log(name)
	}
	return &vanishingLog{Log: v.Broker.Log(name), of: v}
}

type vanishingLog struct {
	stream.Log
	of *vanishing
}

func (l *vanishingLog) State(ctx context.Context) (stream.State, error) {
	if l.of.readings.Load() == 0 {
		return stream.State{Last: 1, Messages: 1}, nil
	}
	return l.Log.State(ctx)
}

func (l *vanishingLog) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	if l.of.readings.Add(1) == 1 {
		return stream.NewReader(make(chan stream.Message), func() {}), nil
	}
	return l.Log.Read(ctx, from, subjects...)
}

func TestABucketWhoseKeysVanishWhileItIsReadIsReadAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		p, err := balances.New(balances.Config{Broker: &vanishing{Broker: b.network.Connect("projector")}, Partitions: partitions})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		b.await(p.Ready)
		stop()
		running.Wait()
	})
}
