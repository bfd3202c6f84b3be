package balances_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// traffic writes n messages of commands and debits of five accounts of each
// partition.
func (r *rig) traffic(seed uint64, n int) {
	r.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	for range n {
		partition := random.IntN(partitions)
		switch account := accountOf(partition, random.IntN(5)); random.IntN(4) {
		case 0:
			r.command(grant(account, "g"+string(rune('a'+random.IntN(26))), "20"))
		case 1:
			r.command(events.Entry{Kind: events.EntryVoid, Account: account, Void: &events.Void{Grant: "ga"}})
		default:
			var accounts []string
			for range 1 + random.IntN(30) {
				accounts = append(accounts, accountOf(partition, random.IntN(5)))
			}
			r.debits(partition, accounts...)
		}
	}
}

func TestBucketsShowWhatAReplayGives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.traffic(1, 40) // folded at the start
	p, _ := r.start()
	r.awaitReady(p)
	r.agree()
	r.traffic(2, 80) // folded as it comes
	r.agree()
}

func TestARestartHealsTheBuckets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, stop := r.start()
	r.awaitReady(p)
	r.traffic(3, 60)
	plan := events.Plan{Plan: "pro", Terms: events.Terms{Thresholds: []string{"10%"}}}
	r.ask(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	account := accountOf(1, 0)
	r.ask(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Plan: "pro"}})
	r.agree()
	stop()

	kv, ctx := r.streams.Balances, t.Context()
	old, err := kv.Get(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		kv.Delete(ctx, accountOf(0, 0)),
		second(kv.Put(ctx, accountOf(0, 1), []byte(`{"account":"x"}`))),
		second(kv.Put(ctx, accountOf(1, 1), []byte(`not json`))),
		second(r.js.Publish(ctx, "$KV."+events.BucketBalances+"."+accountOf(1, 2), []byte(`{}`))),
		r.streams.Catalog.Delete(ctx, "plan.pro"),
		second(r.streams.Catalog.Put(ctx, "account."+account, []byte(`{"id":"x"}`))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	altered := accountOf(0, 2)
	right, err := kv.Get(ctx, altered)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.js.Stream(ctx, "KV_"+events.BucketBalances)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := m.GetMsg(ctx, right.Revision())
	if err != nil {
		t.Fatal(err)
	}
	inPlace := &nats.Msg{Subject: raw.Subject, Header: nats.Header{}, Data: []byte(`{"altered":"in place"}`)}
	for _, key := range []string{"Drawdown-Ledger-Place", "Drawdown-Ledger-Stored-At"} {
		inPlace.Header.Set(key, raw.Header.Get(key))
	}
	if _, err := r.js.PublishMsg(ctx, inPlace); err != nil {
		t.Fatal(err)
	}

	p, _ = r.start()
	r.awaitReady(p)
	r.agree()
	r.await(kv, altered, func(e jetstream.KeyValueEntry) bool { return string(e.Value()) == string(right.Value()) })
	if kept, err := kv.Get(ctx, account); err != nil || kept.Revision() != old.Revision() {
		t.Errorf("a balance that was right was written again: %v, %v", kept, err)
	}
	state := r.replay()
	settings, _ := state.Account(account)
	want, _ := state.Plan("pro")
	for key, content := range map[string]any{"plan.pro": want, "account." + account: settings} {
		if entry, err := r.streams.Catalog.Get(ctx, key); err != nil || string(entry.Value()) != encode(t, content) {
			t.Errorf("%s: %v, %v; want %s", key, entry, err, encode(t, content))
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTheCatalogShowsWhatWasDecidedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	price := events.Price{Flat: new(events.MustQuantity("1"))}
	for version := 1; version <= 3; version++ {
		card := events.RateCard{Card: "default", Rules: []events.Rule{{Name: strings.Repeat("r", version), Price: price}}}
		d := r.ask(events.Entry{Kind: events.EntryRateCard, RateCard: &card})
		if d.Outcome != events.Applied || d.Version != version || d.Balance != nil {
			t.Fatalf("decision on version %d: %+v", version, d)
		}
		entry, err := r.streams.Catalog.Get(t.Context(), "ratecard.default."+string(rune('0'+version)))
		if err != nil {
			t.Fatal(err)
		}
		if got := decode[events.RateCard](t, entry.Value()); got.Version != version || got.EffectiveFrom.IsZero() != (version == 1) {
			t.Errorf("version %d in the catalog: %+v", version, got)
		}
	}
}

func TestACommandIsAnsweredOnceAfterTheBucketShowsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inbox := nats.NewInbox()
	answers, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	next := func() events.Decision {
		m, err := answers.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return decode[events.Decision](t, m.Data)
	}
	account := accountOf(1, 0)
	ask := func(e events.Entry) uint64 {
		return r.append(subjectOf(e), inbox, events.Chunk{Entries: []events.Entry{e}})
	}

	ask(grant(account, "history", "1"))
	p, stop := r.start(func(c *balances.Config) { c.AnswerWithin = time.Nanosecond }) // nobody waits for it any more
	r.awaitReady(p)
	for i, want := range []events.Outcome{events.Applied, events.Unchanged, events.Refused} {
		amount := []string{"5", "5", "6"}[i]
		seq := ask(grant(account, "g", amount))
		d := next()
		if d.Sequence != seq || d.Outcome != want || d.Balance == nil || d.Balance.Granted != events.MustCredits("6") {
			t.Fatalf("decision %d: %+v with balance %+v; want %s at %d", i, d, d.Balance, want, seq)
		}
		entry, err := r.streams.Balances.Get(t.Context(), account)
		if err != nil || string(entry.Value()) != encode(t, d.Balance) {
			t.Errorf("at the answer the bucket shows %v, %v; want %s", entry, err, encode(t, d.Balance))
		}
	}
	plan := events.Plan{Plan: "pro"}
	seq := ask(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	if d := next(); d.Sequence != seq || d.Outcome != events.Applied || d.Balance != nil {
		t.Errorf("decision on a plan: %+v", d)
	}
	seq = ask(grant(account, "other", "1")) // by then its partition has folded the plan too
	if d := next(); d.Sequence != seq {
		t.Errorf("behind the plan's decision came that on %d; want %d", d.Sequence, seq)
	}
	stop()

	p, _ = r.start(func(c *balances.Config) { c.AnswerWithin = time.Nanosecond })
	r.awaitReady(p)
	seq = ask(grant(account, "last", "1"))
	if d := next(); d.Sequence != seq {
		t.Errorf("after a restart %d was answered; want %d alone", d.Sequence, seq)
	}
}

func TestACommandThatCameBeforeThePartitionWasGainedIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inbox := nats.NewInbox()
	answers, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	account := accountOf(1, 0)
	var asked []uint64
	for i := range 3 {
		e := grant(account, fmt.Sprint("g", i), "5")
		asked = append(asked, r.append(subjectOf(e), inbox, events.Chunk{Entries: []events.Entry{e}}))
	}
	p, _ := r.start()
	for i, seq := range asked {
		m, err := answers.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := decode[events.Decision](t, m.Data)
		if d.Sequence != seq || d.Outcome != events.Applied || d.Balance.Granted != events.Credits(i+1)*5*events.Credit {
			t.Errorf("answer %d: %+v, balance %+v; want on %d", i, d, d.Balance, seq)
		}
		if i == 0 { // the buckets show all by then
			entry, err := r.streams.Balances.Get(t.Context(), account)
			if err != nil || decode[events.Balance](t, entry.Value()).Sequence != asked[len(asked)-1] {
				t.Errorf("at the answer the bucket shows %v, %v", entry, err)
			}
		}
	}
	r.awaitReady(p)
}

func TestAnUnreadableMessageStopsItsPartitionOnly(t *testing.T) {
	t.Parallel()
	a, b := accountOf(0, 0), accountOf(1, 0)
	tests := map[string]struct{ subject, body string }{
		"no chunk":                        {"ledger.1.command", `nonsense`},
		"an account of another partition": {"ledger.1.command", `{"entries":[{"kind":"void","account":"` + a + `","void":{"grant":"g"}}]}`},
		"a debit among commands":          {"ledger.1.command", `{"span":{"through":{"sequence":1},"events":1},"entries":[{"kind":"debit","account":"` + b + `","debit":{"source":"/s","id":"1","time":"2026-01-01T00:00:00Z","data":{"operation":"o"},"position":{"sequence":1},"amount":"1","card":"c","version":1,"rule":"r","arithmetic":""}}]}`},
		"a plan of one partition":         {"ledger.1.command", `{"entries":[{"kind":"plan","plan":{"plan":"pro"}}]}`},
		"an unknown writer":               {"ledger.1.other", `{"entries":[{"kind":"tick","account":"` + b + `"}]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			registry := prometheus.NewRegistry()
			p, _ := r.start(func(c *balances.Config) { c.Registerer = registry })
			r.awaitReady(p)
			before := r.command(grant(b, "before", "1"))
			ack, err := r.js.Publish(t.Context(), test.subject, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.command(grant(b, "behind", "1"))
			r.awaitStatus(p, func(s []balances.Status) bool { return s[1].Err != nil })
			status := p.Status()[1]
			if !errors.Is(status.Err, events.ErrInvalid) || !strings.Contains(status.Err.Error(), "message "+fmt.Sprint(ack.Sequence)) || status.Live {
				t.Errorf("status: %+v; want stopped by message %d", status, ack.Sequence)
			}
			shown := r.awaitBalance(b, func(events.Balance) bool { return true })
			if shown.Sequence != before {
				t.Errorf("the bucket shows entry %d; want %d, the last before", shown.Sequence, before)
			}
			if d := r.ask(grant(a, "g", "1")); d.Outcome != events.Applied {
				t.Errorf("the other partition: %+v", d)
			}
			if !p.Ready() {
				t.Error("the projector is not ready though its other partition is live")
			}
			if got := metric(t, registry, "drawdown_balances_stopped"); got != 1 {
				t.Errorf("%g partitions stopped; want 1", got)
			}
		})
	}
}

func TestAReconnectComparesTheBucketsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	r.traffic(4, 30)
	idle := accountOf(0, 9) // no traffic touches it
	r.ask(grant(idle, "g", "1"))
	if err := r.streams.Balances.Delete(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	r.server.Restart()
	r.awaitBalance(idle, func(events.Balance) bool { return true })
	r.traffic(5, 30)
	r.agree()
}

func TestThePutGoesOutBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	account, inbox := accountOf(1, 0), nats.NewInbox()
	seen := make(chan *nats.Msg, 16)
	for _, subject := range []string{"$KV." + events.BucketBalances + "." + account, "$KV." + events.BucketCatalog + ".>", inbox} {
		if _, err := r.nc.ChanSubscribe(subject, seen); err != nil {
			t.Fatal(err)
		}
	}
	e := events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account}}
	r.append(subjectOf(e), inbox, events.Chunk{Entries: []events.Entry{e}})
	var order []string
	for range 3 {
		select {
		case m := <-seen:
			order = append(order, m.Subject)
		case <-t.Context().Done():
			t.Fatalf("saw only %v", order)
		}
	}
	if order[2] != inbox {
		t.Errorf("went out in the order %v; want the answer last", order)
	}
}

func TestAServerThatRestartsInTheMiddleOfTrafficLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		r.server.Restart()
	}()
	r.traffic(6, 200)
	<-restarted
	if d := r.ask(grant(accountOf(0, 0), "last", "1")); d.Outcome != events.Applied {
		t.Errorf("after the restart: %+v", d)
	}
	r.agree()
}

func TestABalanceNeverGivesWayToAnOlderOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch, err := r.streams.Balances.WatchAll(t.Context(), jetstream.IncludeHistory())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	for range 2 { // of the same partitions
		p, _ := r.start()
		r.awaitReady(p)
	}
	for range 300 {
		r.debits(0, accountOf(0, 0), accountOf(0, 1), accountOf(0, 0))
	}
	r.agree()
	newest := map[string]events.Balance{}
	state := r.replay()
	want, _ := state.Balance(accountOf(0, 0))
	for entry := range watch.Updates() {
		if entry == nil {
			continue
		}
		b := decode[events.Balance](t, entry.Value())
		if old := newest[b.Account]; b.Sequence < old.Sequence || b.Sequence == old.Sequence && b.Index < old.Index {
			t.Fatalf("%s went back from %d.%d to %d.%d", b.Account, old.Sequence, old.Index, b.Sequence, b.Index)
		}
		newest[b.Account] = b
		if b.Account == want.Account && b.Sequence == want.Sequence {
			return
		}
	}
}

func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				total += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return total
}
