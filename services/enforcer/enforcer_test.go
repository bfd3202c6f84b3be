package enforcer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// rig is an installation without projector: the tests write the balances.
type rig struct {
	t       testing.TB
	server  *natstest.Server
	js      jetstream.JetStream
	broker  stream.Broker // of the test
	streams *stream.Streams
	signals *stream.Reader
	heard   []events.Signal
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, server: natstest.Run(t)}
	r.js = r.server.JetStream()
	var err error
	if r.streams, err = stream.Ensure(t.Context(), r.js, stream.Config{}); err != nil {
		t.Fatal(err)
	}
	if r.broker, err = stream.NewBroker(r.js.Conn()); err != nil {
		t.Fatal(err)
	}
	if r.signals, err = r.broker.Log(events.StreamSignals).Read(t.Context(), stream.From{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.signals.Close)
	return r
}

// config is that of an enforcer with a connection of its own.
func (r *rig) config() enforcer.Config {
	r.t.Helper()
	broker, err := stream.NewBroker(r.server.Connect())
	if err != nil {
		r.t.Fatal(err)
	}
	return enforcer.Config{Broker: broker, Partitions: r.streams.Partitions}
}

// start runs an enforcer of its own connection until stop, or the test's end.
func (r *rig) start(change ...func(*enforcer.Config)) (e *enforcer.Enforcer, stop func()) {
	r.t.Helper()
	c := r.config()
	for _, f := range change {
		f(&c)
	}
	e, err := enforcer.New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return e, stop
}

func (r *rig) put(b events.Balance) {
	r.t.Helper()
	value, err := json.Marshal(b, json.Deterministic(true))
	if err != nil {
		r.t.Fatal(err)
	}
	for { // the server may be restarting
		_, err := r.streams.Balances.Put(r.t.Context(), b.Account, value)
		if err == nil {
			return
		}
		if r.t.Context().Err() != nil {
			r.t.Fatal(err)
		}
	}
}

// hear waits until n signals were published in all.
func (r *rig) hear(n int) []events.Signal {
	r.t.Helper()
	for len(r.heard) < n {
		m, err := r.signals.Next(r.t.Context())
		if err != nil {
			r.t.Fatalf("after %v: %v", render(r.heard), err)
		}
		s, err := events.DecodeSignal(m.Data)
		if err != nil || m.Subject != events.SignalSubject(s.Kind, s.Account) || m.Header.Get("Content-Type") != events.ContentTypeEvent {
			r.t.Fatalf("signal %s with header %v: %v", m.Subject, m.Header, err)
		}
		r.heard = append(r.heard, s)
	}
	return r.heard
}

// await waits until e watches; nothing announces it.
func (r *rig) await(e *enforcer.Enforcer) {
	r.t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !e.Ready() {
		select {
		case <-ticker.C:
		case <-r.t.Context().Done():
			r.t.Fatal("the enforcer never was ready")
		}
	}
}

// stored returns all that SIGNALS holds of each account.
func (r *rig) stored() map[string][]string {
	r.t.Helper()
	s := again(r, func(ctx context.Context) (jetstream.Stream, error) { return r.js.Stream(ctx, events.StreamSignals) })
	stored := map[string][]string{}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m := again(r, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return s.GetMsg(ctx, seq) })
		signal, err := events.DecodeSignal(m.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		stored[signal.Account] = append(stored[signal.Account], render([]events.Signal{signal})...)
	}
	return stored
}

// again asks until there is an answer: a request under way when the server
// restarts gets none.
func again[T any](r *rig, ask func(context.Context) (T, error)) (answer T) {
	r.t.Helper()
	var err error
	for r.t.Context().Err() == nil {
		if answer, err = ask(r.t.Context()); err == nil {
			return answer
		}
	}
	r.t.Fatal(err)
	return answer
}

func render(signals []events.Signal) []string {
	var lines []string
	for _, s := range signals {
		line := fmt.Sprintf("%s: %d %s %s @%d", s.Account, s.Sequence, s.Kind, s.Threshold, s.Cause.Sequence)
		if s.Per != "" {
			line += fmt.Sprintf(" %s per %s %v", s.Scope, s.Per, s.Exceeded)
		}
		lines = append(lines, line)
	}
	return lines
}

// wallet is an account whose balances the tests write, with what the policy
// says that it is to be told.
type wallet struct {
	rig       *rig
	account   string
	available events.Credits
	levels    []events.Level
	budgets   []events.BudgetBalance
	topsUp    bool // below 30
	requests  uint64
	topUp     *events.TopUpBalance
	published policy.Published
	want      []string
}

func (r *rig) wallet(account string) *wallet {
	return &wallet{rig: r, account: account, available: 100, levels: []events.Level{
		{Kind: events.SignalLow, Threshold: "50%", At: 50}, {Kind: events.SignalLow, Threshold: "20%", At: 20},
		{Kind: events.SignalLow, Threshold: "5%", At: 5}, {Kind: events.SignalExhausted, Threshold: "0"},
	}}
}

// entry stores an entry of the account in LEDGER and returns it as a cause.
func (r *rig) entry(account string) *events.Cause {
	r.t.Helper()
	log := r.broker.Log(events.StreamLedger)
	m := again(r, func(ctx context.Context) (stream.Message, error) {
		sequence, err := log.Append(ctx, stream.Append{Subject: events.LedgerSubject(events.Partition(account, r.streams.Partitions), events.WriterUsage)})
		if err != nil {
			return stream.Message{}, err
		}
		m, _, err := log.Get(ctx, sequence)
		return m, err
	})
	return &events.Cause{Sequence: m.Sequence, Kind: events.EntryDebit, At: m.Time.Truncate(time.Microsecond), Source: "/test", ID: fmt.Sprint(m.Sequence)}
}

// change moves the account and returns its balance and how many signals that
// is reason for.
func (w *wallet) change(amount events.Credits) (events.Balance, int) {
	return w.changeBy(w.rig.entry(w.account), amount)
}

func (w *wallet) changeBy(cause *events.Cause, amount events.Credits) (events.Balance, int) {
	w.available = max(0, w.available+amount)
	for i := range w.levels {
		l := &w.levels[i]
		if reached := w.available <= l.At; reached != l.Reached {
			l.Reached, l.Since = reached, cause
		}
	}
	for i := range w.budgets {
		u := &w.budgets[i]
		u.Spent = max(0, u.Spent-amount%17*events.Credits(i+1))
		if exceeded := u.Spent >= u.Limit; exceeded != u.Exceeded {
			u.Exceeded, u.Since = exceeded, cause
		}
	}
	switch low := w.available < 30; {
	case low && w.topsUp && w.topUp == nil:
		w.requests++
		w.topUp = &events.TopUpBalance{State: events.TopUpPending, Since: cause, Request: &events.TopUpRequest{
			ID: events.TopUpID(w.account, w.requests), Amount: 100, Below: 30, RequestedAt: cause.At, ExpiresAt: cause.At,
		}}
	case !low:
		w.topUp = nil
	}
	b := events.Balance{
		Account: w.account, Available: w.available, Sequence: cause.Sequence, At: cause.At,
		Levels: slices.Clone(w.levels), Budgets: slices.Clone(w.budgets), TopUp: w.topUp,
	}
	signals := policy.React(w.published, b)
	for _, s := range signals {
		w.published = w.published.After(s)
	}
	w.want = append(w.want, render(signals)...)
	return b, len(signals)
}

func TestAnAccountIsToldLowExhaustedAndRestoredOnceEach(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	registry := prometheus.NewRegistry()
	r.start(func(c *enforcer.Config) { c.Registerer = registry })
	w, n := r.wallet("acme"), 0
	for _, amount := range []events.Credits{-10, -75, -10, -5, -1, +60, -1, -60} {
		b, signals := w.change(amount)
		r.put(b)
		n += signals
		r.hear(n)
	}
	want := []string{
		"acme: 1 low 50% @2", "acme: 2 low 20% @2", "acme: 3 low 5% @3", "acme: 4 exhausted 0 @4",
		"acme: 5 restored 0 @6", "acme: 6 low 50% @8", "acme: 7 low 20% @8", "acme: 8 low 5% @8", "acme: 9 exhausted 0 @8",
	}
	if diff := cmp.Diff(want, r.stored()["acme"]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if s := r.heard[3]; s.Cause.ID != "4" || s.Balance.Available != 0 || !s.At.Equal(s.Cause.At) {
		t.Errorf("exhausted: %+v", s)
	}
	const counted = `
# HELP drawdown_enforcer_signals_total Signals published, by kind.
# TYPE drawdown_enforcer_signals_total counter
drawdown_enforcer_signals_total{kind="exhausted"} 2
drawdown_enforcer_signals_total{kind="low"} 6
drawdown_enforcer_signals_total{kind="restored"} 1
`
	// A signal is heard before its acknowledgement, which counts it.
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-ticker.C {
		err := testutil.GatherAndCompare(registry, strings.NewReader(counted), "drawdown_enforcer_signals_total")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestWhatWasMissedIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.wallet("acme")
	b, n := w.change(-100)
	r.put(b)
	_, stop := r.start()
	r.hear(n)
	stop()
	b, more := w.change(+100)
	r.put(b)
	r.start()
	r.hear(n + more)
	if diff := cmp.Diff(w.want, r.stored()["acme"]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestAValueThatIsNoBalanceIsPassedOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e, _ := r.start()
	r.await(e)
	for _, value := range []string{"", "nonsense", `{"account":"other","levels":[{"kind":"low","threshold":"1","at":"1","reached":true,"since":{"sequence":1,"kind":"debit","at":"2026-01-01T00:00:00Z"}}],"sequence":1}`} {
		if _, err := r.streams.Balances.Put(t.Context(), "acme", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	w := r.wallet("acme")
	b, n := w.change(-60)
	r.put(b)
	if diff := cmp.Diff(w.want, render(r.hear(n))); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// drive changes accounts at random, each change only after everybody was told
// of the one before: what SIGNALS must then hold is what the policy says.
func (r *rig) drive(seed uint64, steps int, accounts ...string) {
	r.t.Helper()
	if accounts == nil {
		accounts = []string{"a", "b", "c"}
	}
	random := rand.New(rand.NewPCG(seed, 1))
	var wallets []*wallet
	for _, account := range accounts {
		w := r.wallet(account)
		w.budgets = []events.BudgetBalance{
			{Scope: "project:web", Budget: "project:*", Per: "day", Limit: 10}, {Scope: "key:k1", Budget: "key:*", Per: "month", Limit: 20},
		}
		w.topsUp = true
		wallets = append(wallets, w)
	}
	n := len(r.heard)
	for range steps {
		for _, w := range wallets {
			b, signals := w.change(events.Credits(random.IntN(240) - 120))
			r.put(b)
			n += signals
		}
		r.hear(n)
	}
	stored := r.stored()
	for _, w := range wallets {
		if diff := cmp.Diff(w.want, stored[w.account]); diff != "" {
			r.t.Errorf("seed %d, account %s (-policy +stored):\n%s", seed, w.account, diff)
		}
	}
}

func TestTwoEnforcersTellEverythingOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.start()
	r.drive(11, 60)
}

func TestEnforcersThatCrashAtAnyPointTellEverythingOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ctx, stop := context.WithCancel(context.Background())
			var crashing sync.WaitGroup
			defer crashing.Wait()
			defer stop()
			for i := range uint64(2) {
				nc, config, random := r.server.Connect(), r.config(), rand.New(rand.NewPCG(seed, i+2))
				crashing.Go(func() { crash(ctx, t, nc, config, random) })
			}
			r.drive(seed, 60)
		})
	}
}

// crash runs one enforcer after the other. Each ends at the moment when the
// server was handed some signal, before anybody knows what became of it.
func crash(ctx context.Context, t *testing.T, nc *nats.Conn, config enforcer.Config, random *rand.Rand) {
	published := make(chan *nats.Msg, 1024)
	subscription, err := nc.ChanSubscribe("credits.>", published)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = subscription.Unsubscribe() }()
	for ctx.Err() == nil {
		e, err := enforcer.New(config)
		if err != nil {
			t.Error(err)
			return
		}
		life, end := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() {
			if err := e.Run(life); err != nil {
				t.Error(err)
			}
		})
		for range 1 + random.IntN(4) {
			select {
			case <-published:
			case <-ctx.Done():
			}
		}
		end()
		running.Wait()
	}
}

func TestAServerThatRestartsLosesNoSignal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.start()
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		for range 3 {
			r.server.Restart()
		}
	}()
	r.drive(21, 40)
	<-restarted
	w := r.wallet("late")
	b, n := w.change(-100)
	r.put(b)
	r.hear(len(r.heard) + n)
	if diff := cmp.Diff(w.want, r.stored()["late"]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// A bucket that lost its end gives sequences out again that were seen before.
func TestABucketMadeAnewIsWatchedFromItsBeginning(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	w, n := r.wallet("acme"), 0
	for range 20 {
		b, signals := w.change(-1)
		r.put(b)
		n += signals
	}
	if err := r.js.DeleteStream(t.Context(), "KV_"+events.BucketBalances); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Ensure(t.Context(), r.js, stream.Config{}); err != nil {
		t.Fatal(err)
	}
	b, signals := w.change(-70)
	r.put(b)
	r.hear(n + signals)
}
