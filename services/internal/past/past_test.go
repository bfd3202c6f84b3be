package past_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 2

// world is a ledger, the real projector on it, and every balance that it
// publishes.
type world struct {
	t         *testing.T
	broker    stream.Broker
	config    balances.Config
	published chan *nats.Msg
}

func start(t *testing.T) *world {
	t.Helper()
	server := natstest.Run(t)
	streams, broker := server.Installation(partitions)
	w := &world{t: t, broker: broker, published: make(chan *nats.Msg, 1<<16)}
	w.config = balances.Config{
		Broker: broker, Partitions: partitions, Installation: streams.Installation,
		Snapshots: snapshot.NewStore(broker), SnapshotEntries: 60,
	}
	watcher := server.Connect()
	if _, err := watcher.ChanSubscribe(stream.BucketSubject(events.BucketBalances, ">"), w.published); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

// project runs the projector until the function that it returns is called.
func (w *world) project() (stop func()) {
	w.t.Helper()
	p, err := balances.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) append(subject string, c events.Chunk) uint64 {
	w.t.Helper()
	body, err := events.EncodeChunk(c)
	if err != nil {
		w.t.Fatal(err)
	}
	sequence, err := w.broker.Log(events.StreamLedger).Append(w.t.Context(), stream.Append{Subject: subject, Data: body})
	if err != nil {
		w.t.Fatal(err)
	}
	return sequence
}

func (w *world) command(e events.Entry) uint64 {
	w.t.Helper()
	subject := events.BroadcastSubject()
	if e.Account != "" {
		subject = events.LedgerSubject(events.Partition(e.Account, partitions), events.WriterCommand)
	}
	return w.append(subject, events.Chunk{Entries: []events.Entry{e}})
}

func grant(account, id, amount string, change ...func(*events.Grant)) events.Entry {
	g := events.Grant{ID: id, Amount: events.MustCredits(amount)}
	for _, f := range change {
		f(&g)
	}
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &g}
}

func debit(account, id, amount string) events.Entry {
	return events.Entry{Kind: events.EntryDebit, Account: account, Debit: &events.Debit{
		Source: "/api", ID: id, Time: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Amount: events.MustCredits(amount),
		Card: "default", Version: 1, Rule: "all", Arithmetic: amount,
		Position: events.Position{Sequence: 1}, Data: events.UsageData{Operation: "GET /"},
	}}
}

// history appends commands, debits, plans and grants that will expire.
func (w *world) history(seed uint64) {
	w.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 120 {
		account := fmt.Sprintf("account-%d", random.IntN(5))
		switch random.IntN(8) {
		case 0:
			expires := func(g *events.Grant) {
				g.ExpiresAt = time.Now().Add(time.Duration(20+random.IntN(400)) * time.Millisecond)
			}
			w.command(grant(account, fmt.Sprintf("g%d", i), "7.5", expires))
		case 1:
			w.command(grant(account, fmt.Sprintf("g%d", i), "30"))
		case 2:
			w.command(events.Entry{Kind: events.EntryVoid, Account: account, Void: &events.Void{Grant: fmt.Sprintf("g%d", random.IntN(i+1))}})
		case 3:
			w.command(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "pro", Terms: events.Terms{
				Period: "day", Grant: &events.PlanGrant{Amount: events.Credits(1+random.IntN(50)) * events.Credit}, Thresholds: []string{fmt.Sprintf("%d%%", 1+random.IntN(50))},
			}}})
		case 4:
			w.command(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Plan: "pro"}})
		default:
			p := random.IntN(partitions)
			chunk := events.Chunk{}
			for n := 1 + random.IntN(10); n > 0; {
				if a := fmt.Sprintf("account-%d", random.IntN(5)); events.Partition(a, partitions) == p {
					chunk.Entries = append(chunk.Entries, debit(a, fmt.Sprintf("%d/%d", i, n), fmt.Sprintf("%d.%d", random.IntN(4), random.IntN(10))))
					n--
				}
			}
			chunk.Span = &events.Span{Through: events.Position{Sequence: uint64(i + 1)}, Events: len(chunk.Entries)}
			w.append(events.LedgerSubject(p, events.WriterUsage), chunk)
		}
	}
}

// collect returns what is published until every account of the history stands at
// its last entry, by the fold itself.
func (w *world) collect() []*nats.Msg {
	w.t.Helper()
	want := w.ends()
	var all []*nats.Msg
	for timeout := time.After(time.Minute); len(want) > 0; {
		select {
		case m := <-w.published:
			all = append(all, m)
			b := decode(w.t, m.Data)
			if b.Sequence >= want[b.Account] {
				delete(want, b.Account)
			}
		case <-timeout:
			w.t.Fatalf("not published: %v", want)
		}
	}
	return all
}

// ends returns the sequence of the last entry of each account.
func (w *world) ends() map[string]uint64 {
	ends := map[string]uint64{}
	err := stream.Each(w.t.Context(), w.broker.Log(events.StreamLedger), stream.From{}, func(m stream.Message) error {
		chunk, err := events.DecodeChunk(m.Data)
		for _, e := range chunk.Entries {
			if e.Account != "" {
				ends[e.Account] = m.Sequence
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ends
}

func decode(t *testing.T, text []byte) (b events.Balance) {
	t.Helper()
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func encode(t *testing.T, b events.Balance) []byte {
	t.Helper()
	text, err := json.Marshal(b, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// untilExpired waits until no grant is left to expire: the projector lets time
// pass for accounts without traffic.
func (w *world) untilExpired(all []*nats.Msg) []*nats.Msg {
	w.t.Helper()
	open := map[string]bool{}
	look := func(m *nats.Msg) {
		b := decode(w.t, m.Data)
		delete(open, b.Account)
		for _, g := range b.Grants {
			if !g.ExpiresAt.IsZero() && g.ExpiresAt.Before(time.Now().Add(time.Minute)) {
				open[b.Account] = true
			}
		}
	}
	for _, m := range all {
		look(m)
	}
	for timeout := time.After(time.Minute); len(open) > 0; {
		select {
		case m := <-w.published:
			all = append(all, m)
			look(m)
		case <-timeout:
			w.t.Fatalf("grants do not expire: %v", open)
		}
	}
	return all
}

func TestEveryBalanceThatWasPublishedIsAnsweredAgainByteForByte(t *testing.T) {
	t.Parallel()
	w := start(t)
	stop := w.project()
	w.history(1)
	published := w.untilExpired(w.collect())
	stop()
	bare := past.Ledger{Broker: w.broker, Partitions: partitions}
	restored := 0
	snapshots := bare
	snapshots.Restore = func(ctx context.Context, partition int, atMost uint64) (*ledger.State, stream.Mark) {
		state, mark, err := w.config.Restore(ctx, partition, atMost)
		if err != nil {
			t.Error(err)
		}
		if state != nil {
			restored++
		}
		return state, mark
	}
	last := map[string][]byte{} // by account and time
	for _, m := range published {
		b := decode(t, m.Data)
		last[b.Account+b.At.String()] = m.Data
	}
	ticks := 0
	for _, m := range published {
		want := decode(t, m.Data)
		if want.Expired > 0 {
			ticks++
		}
		for name, l := range map[string]past.Ledger{"from the start": bare, "from a snapshot": snapshots} {
			got, named, err := l.Balance(t.Context(), want.Account, want.Sequence, nil)
			if err != nil || !named || !bytes.Equal(encode(t, got), m.Data) {
				t.Fatalf("%s at %d, %s: error %v\n%s\npublished\n%s", want.Account, want.Sequence, name, err, encode(t, got), m.Data)
			}
		}
		through, err := bare.Through(t.Context(), want.At)
		if err != nil || through < want.Sequence {
			t.Fatalf("through %d at %s, %v; want at least %d", through, want.At, err, want.Sequence)
		}
		got, _, err := bare.Balance(t.Context(), want.Account, through, nil)
		if then := last[want.Account+want.At.String()]; err != nil || !bytes.Equal(encode(t, got), then) {
			t.Fatalf("%s at %s: error %v\n%s\npublished\n%s", want.Account, want.At, err, encode(t, got), then)
		}
	}
	if restored == 0 || ticks == 0 { // how many are published depends on how fast they come
		t.Errorf("%d balances compared, %d with expired credits, %d from a snapshot; want all of them", len(published), ticks, restored)
	}
}

func TestAPointThatIsNoneIsTold(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.append(events.BroadcastSubject(), events.Chunk{Entries: []events.Entry{{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "pro"}}}})
	end := w.command(grant("acme", "g", "10"))
	l := past.Ledger{Broker: w.broker, Partitions: partitions}
	if _, named, err := l.Balance(t.Context(), "acme", end-1, nil); named || err != nil {
		t.Errorf("before its first entry the account is named: %t, %v", named, err)
	}
	if _, _, err := l.Balance(t.Context(), "acme", end+1, nil); !errors.Is(err, past.ErrAhead) {
		t.Errorf("behind the end: %v, want ErrAhead", err)
	}
	if _, err := l.Through(t.Context(), time.Now().Add(time.Hour)); !errors.Is(err, past.ErrAhead) {
		t.Errorf("ahead of the clock: %v, want ErrAhead", err)
	}
	if through, err := l.Through(t.Context(), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); through != 0 || err != nil {
		t.Errorf("before the first message: %d, %v; want 0", through, err)
	}
	if _, err := l.Step(t.Context(), "ada", past.Place{Sequence: end}, nil); !errors.Is(err, past.ErrNotThere) {
		t.Errorf("an entry of another account: %v, want ErrNotThere", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := l.Balance(ctx, "acme", end, func(uint64, uint64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("the asker went away: %v, want Canceled", err)
	}
}

func TestAMessageThatNobodyAppendsEndsThePastWhereThePublishedEnds(t *testing.T) {
	t.Parallel()
	w := start(t)
	good := w.command(grant("acme", "g", "10"))
	bad := w.append(events.LedgerSubject(events.Partition("acme", partitions), events.WriterUsage), events.Chunk{Entries: []events.Entry{grant("acme", "h", "10")}})
	l := past.Ledger{Broker: w.broker, Partitions: partitions}
	if b, _, err := l.Balance(t.Context(), "acme", good, nil); err != nil || b.Available != events.MustCredits("10") {
		t.Errorf("before it: %+v, %v", b, err)
	}
	if _, _, err := l.Balance(t.Context(), "acme", bad, nil); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("behind it: %v, want ErrInvalid", err)
	}
}

func BenchmarkBalance(b *testing.B) {
	server := natstest.Run(b)
	_, broker := server.Installation(partitions)
	const messages, chunk = 400, 500
	var all []stream.Append
	for i := range messages {
		c := events.Chunk{Span: &events.Span{Through: events.Position{Sequence: uint64(i + 1)}, Events: chunk}}
		for n := range chunk {
			c.Entries = append(c.Entries, debit("acme", fmt.Sprintf("%d/%d", i, n), "0.25"))
		}
		body, err := events.EncodeChunk(c)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, stream.Append{Subject: events.LedgerSubject(events.Partition("acme", partitions), events.WriterUsage), Data: body})
	}
	for _, a := range broker.Log(events.StreamLedger).AppendAll(b.Context(), all) {
		if a.Err != nil {
			b.Fatal(a.Err)
		}
	}
	l := past.Ledger{Broker: broker, Partitions: partitions}
	for b.Loop() {
		if _, _, err := l.Balance(b.Context(), "acme", messages, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages/chunk, "ns/entry")
}
