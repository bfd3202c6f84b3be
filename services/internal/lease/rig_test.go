package lease_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		os.Exit(child(url))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

const (
	partitions = 16
	// unhurried is a TTL that no test waits for: nothing runs out by itself.
	unhurried = time.Hour
)

// rig is an installation whose instances note what they work on.
type rig struct {
	t      *testing.T
	server *natstest.Server
	js     jetstream.JetStream
	trace  *trace
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, server: natstest.Run(t), trace: &trace{t: t, running: map[int]map[string]int{}, seen: make(chan struct{}, 1)}}
	r.js = r.server.JetStream()
	if err := r.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) create(ctx context.Context) error { return stream.EnsureLeases(ctx, r.js, 1) }

// instance is one that runs.
type instance struct {
	name string
	stop func() // as a process does that is told to
	kill func() // as a process that is gone: nothing is given up
	done chan error
}

// start runs an instance over a connection of its own.
func (r *rig) start(name string, ttl time.Duration) *instance {
	r.t.Helper()
	nc := r.server.Connect()
	broker, err := stream.NewBroker(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	dead := make(chan struct{})
	shared, err := lease.New(lease.Config{
		Broker: &cuttable{Broker: broker, dead: dead}, Service: "rater", Partitions: partitions, Instance: name, TTL: ttl, Create: r.create,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &instance{name: name, done: make(chan error, 1)}
	wait := sync.OnceFunc(func() {
		cancel()
		if err := <-in.done; err != nil {
			r.t.Errorf("run %s: %v", name, err)
		}
	})
	in.stop = wait
	in.kill = func() {
		close(dead)
		wait()
	}
	go func() { in.done <- shared.Run(ctx, r.trace.work(name)) }()
	r.t.Cleanup(wait)
	return in
}

// cuttable is a broker whose appends stop reaching the server, as those of a
// process that is gone.
type cuttable struct {
	stream.Broker
	dead chan struct{}
}

func (c *cuttable) Log(name string) stream.Log { return &cutLog{Log: c.Broker.Log(name), dead: c.dead} }

type cutLog struct {
	stream.Log
	dead chan struct{}
}

var errDead = errors.New("the process is gone")

func (l *cutLog) Append(ctx context.Context, a stream.Append) (uint64, error) {
	select {
	case <-l.dead:
		return 0, errDead
	default:
		return l.Log.Append(ctx, a)
	}
}

// trace is who works on what. It fails the test when two work on one.
type trace struct {
	t       *testing.T
	overlap bool // allowed
	// ending, when set, holds work that was told to end.
	ending chan struct{}

	mu      sync.Mutex
	running map[int]map[string]int
	starts  int
	told    int // to end
	seen    chan struct{}
}

func (tr *trace) work(name string) lease.Work {
	return func(ctx context.Context, held *lease.Held) {
		tr.note(name, held.Partition, 1)
		held.Report(lease.Report{State: lease.StateLive, Sequence: uint64(held.Partition)})
		<-ctx.Done()
		tr.tell()
		if tr.ending != nil {
			<-tr.ending
		}
		tr.note(name, held.Partition, -1)
	}
}

func (tr *trace) note(name string, partition, change int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.running[partition] == nil {
		tr.running[partition] = map[string]int{}
	}
	on := tr.running[partition]
	if on[name] += change; on[name] == 0 {
		delete(on, name)
	}
	if change > 0 {
		tr.starts++
	}
	if len(on) > 1 && !tr.overlap {
		tr.t.Errorf("partition %d is worked on by %v", partition, slices.Sorted(maps.Keys(on)))
	}
	tr.wake()
}

// tell notes that some work was told to end.
func (tr *trace) tell() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.told++
	tr.wake()
}

func (tr *trace) wake() {
	select {
	case tr.seen <- struct{}{}:
	default:
	}
}

// awaitTold waits until work was told to end n times.
func (tr *trace) awaitTold(n int) {
	tr.t.Helper()
	for {
		tr.mu.Lock()
		told := tr.told
		tr.mu.Unlock()
		if told >= n {
			return
		}
		select {
		case <-tr.seen:
		case <-tr.t.Context().Done():
			tr.t.Fatalf("work was told to end %d times; want %d", told, n)
		}
	}
}

// started counts the starts of work so far.
func (tr *trace) started() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.starts
}

// holders says how many partitions each works on; partitions of nobody and of
// several count under "nobody" and "several".
func (tr *trace) holders() map[string]int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	count := map[string]int{}
	for p := range partitions {
		switch names := slices.Collect(maps.Keys(tr.running[p])); len(names) {
		case 0:
			count["nobody"]++
		case 1:
			count[names[0]]++
		default:
			count["several"]++
		}
	}
	return count
}

// await waits until the partitions are shared so.
func (r *rig) await(want map[string]int) {
	r.t.Helper()
	for {
		got := r.trace.holders()
		if maps.Equal(got, want) {
			return
		}
		select {
		case <-r.trace.seen:
		case <-r.t.Context().Done():
			r.t.Fatalf("shared as %v; want %v", got, want)
		}
	}
}

// standing reads the bucket until it is as asked for.
func (r *rig) standing(what string, is func(lease.Standing) bool) lease.Standing {
	r.t.Helper()
	broker, err := stream.NewBroker(r.js.Conn())
	if err != nil {
		r.t.Fatal(err)
	}
	for {
		s, err := lease.Read(r.t.Context(), broker)
		if err == nil && is(s) {
			return s
		}
		if r.t.Context().Err() != nil {
			r.t.Fatalf("never %s: %v, %v", what, s, err)
		}
	}
}
