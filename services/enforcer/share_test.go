package enforcer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// given is a share whose partitions the test gives and takes.
type given struct {
	mu      sync.Mutex
	work    lease.Work
	ctx     context.Context
	holding map[int]context.CancelFunc
	held    map[int]*lease.Held
	running sync.WaitGroup
	started chan struct{}
}

func newGiven() *given {
	return &given{holding: map[int]context.CancelFunc{}, held: map[int]*lease.Held{}, started: make(chan struct{})}
}

func (g *given) Run(ctx context.Context, work lease.Work) error {
	g.work, g.ctx = work, ctx
	close(g.started)
	<-ctx.Done()
	g.running.Wait()
	return nil
}

func (g *given) give(partition int) {
	<-g.started
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx, cancel := context.WithCancel(g.ctx)
	held := &lease.Held{Partition: partition}
	g.holding[partition], g.held[partition] = cancel, held
	g.running.Go(func() { g.work(ctx, held) })
}

func (g *given) take(partition int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding[partition]()
}

func (g *given) last(partition int) lease.Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[partition].Last()
}

// two accounts of different partitions.
func (r *rig) two() (a, b *wallet) {
	a = r.wallet("a")
	for i := 0; ; i++ {
		b = r.wallet(fmt.Sprint("b", i))
		if r.partition(a) != r.partition(b) {
			return a, b
		}
	}
}

func (r *rig) partition(w *wallet) int { return events.Partition(w.account, r.streams.Partitions) }

func TestAnEnforcerTellsTheAccountsOfItsPartitions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := newGiven()
	e, _ := r.start(func(c *enforcer.Config) { c.Share = g })
	a, b := r.two()
	// b owes from before its partition is given, a is told meanwhile.
	owed, signals := b.change(-60)
	r.put(owed)
	g.give(r.partition(a))
	balance, more := a.change(-60)
	r.put(balance)
	if got := render(r.hear(more)); cmp.Diff(a.want, got) != "" {
		t.Fatalf("heard %v; want what %s is told", got, a.account)
	}
	g.give(r.partition(b))
	r.hear(more + signals)
	r.await(e)
	// Both are told what is new, also after the gain.
	for _, w := range []*wallet{a, b} {
		balance, n := w.change(-40)
		r.put(balance)
		r.hear(len(r.heard) + n)
	}
	stored := r.stored()
	for _, w := range []*wallet{a, b} {
		if diff := cmp.Diff(w.want, stored[w.account]); diff != "" {
			t.Errorf("%s (-policy +stored):\n%s", w.account, diff)
		}
	}
}

func TestAPartitionThatComesBackIsToldWhatOthersTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := newGiven(), newGiven()
	r.start(func(c *enforcer.Config) { c.Share = first })
	r.start(func(c *enforcer.Config) { c.Share = second })
	w := r.wallet("acme")
	p, n := r.partition(w), 0
	for i, g := range []*given{first, second, first, second} {
		g.give(p)
		balance, signals := w.change(events.Credits([]int64{-100, 100}[i%2]))
		r.put(balance)
		n += signals
		r.hear(n)
		g.take(p)
	}
	if diff := cmp.Diff(w.want, r.stored()["acme"]); diff != "" {
		t.Errorf("stored (-policy +stored):\n%s", diff)
	}
}

func TestEnforcersThatShareByLeasesTellEverythingOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	join := func(name string) (stop func()) {
		_, stop = r.start(func(c *enforcer.Config) {
			share, err := lease.New(lease.Config{Broker: c.Broker, Service: lease.Enforcer, Partitions: c.Partitions, Instance: name})
			if err != nil {
				t.Fatal(err)
			}
			c.Share = share
		})
		return stop
	}
	stop := join("first")
	r.drive(31, 10)
	join("second")
	r.drive(32, 10, "d", "e", "f")
	stop()
	r.drive(33, 10, "g", "h", "i")
}

func TestAPartitionReportsWhereItStands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := newGiven()
	r.start(func(c *enforcer.Config) { c.Share = g })
	w := r.wallet("acme")
	g.give(r.partition(w))
	balance, n := w.change(-60)
	r.put(balance)
	r.hear(n)
	state, err := r.broker.Log("KV_" + events.BucketBalances).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := lease.Report{State: lease.StateLive, Sequence: state.Last}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for g.last(r.partition(w)) != want {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatalf("reported %+v; want %+v", g.last(r.partition(w)), want)
		}
	}
}

// Two enforcers have a partition for a moment, and one of them alone saw the
// account restored in between: a bucket keeps the newest value only.
func TestWhatAnotherEnforcerToldIsHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	w := r.wallet("acme")
	exhausted, n := w.change(-100)
	r.put(exhausted)
	r.hear(n)
	before := w.published
	restored, signals := w.change(+100)
	n += signals
	for _, s := range policy.React(before, restored) {
		r.publish(s)
	}
	again, signals := w.change(-100)
	n += signals
	r.put(again)
	r.hear(n)
	if diff := cmp.Diff(w.want, r.stored()["acme"]); diff != "" {
		t.Errorf("stored (-policy +stored):\n%s", diff)
	}
}

// publish stores a signal as an enforcer does.
func (r *rig) publish(s events.Signal) {
	r.t.Helper()
	header, body, err := events.EncodeSignal(s)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.broker.Log(events.StreamSignals).Append(r.t.Context(), stream.Append{
		Subject: events.SignalSubject(s.Kind, s.Account), Header: header, Data: body,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// A cluster can lose the end of SIGNALS while all connections hold.
func TestASignalThatWasLostIsToldAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	w := r.wallet("acme")
	balance, n := w.change(-60)
	r.put(balance)
	r.hear(n)
	if err := r.streams.Signals.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.hear(n + 1)
	if got := render(r.heard[n:]); cmp.Diff(w.want, got) != "" {
		t.Errorf("told again: %v; want %v", got, w.want)
	}
}

// A power cut took the entry that exhausted the account, and no entry came for
// it since: that what it was told is not so is seen from LEDGER alone.
func TestAnAccountIsRestoredWhenTheLedgerLostWhatExhaustedIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	w := r.wallet("acme")
	before, n := w.change(-10)
	r.put(before)
	lost := r.entry("acme")
	lost.Sequence, lost.At = lost.Sequence+10, lost.At.Add(time.Minute) // LEDGER ends before
	exhausted, signals := w.changeBy(lost, -90)
	n += signals
	r.put(exhausted)
	r.hear(n)
	r.put(before)
	if got := render(r.hear(n + 1)[n:]); len(got) != 1 || got[0] != fmt.Sprintf("acme: %d restored 0 @%d", n+1, before.Sequence) {
		t.Errorf("told %v; want restored", got)
	}
}

// An older balance is late, as long as LEDGER holds what was told of a later one.
func TestALateBalanceSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	w := r.wallet("acme")
	before, n := w.change(-10)
	exhausted, signals := w.change(-90)
	n += signals
	r.put(exhausted)
	r.hear(n)
	r.put(before)
	restored, signals := w.change(+100)
	n += signals
	r.put(restored)
	r.hear(n)
	if diff := cmp.Diff(w.want, r.stored()["acme"]); diff != "" {
		t.Errorf("stored (-policy +stored):\n%s", diff)
	}
}
