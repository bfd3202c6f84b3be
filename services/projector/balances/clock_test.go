package balances_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// ticks counts the messages of a partition's clock.
func (r *rig) ticks(partition int) int {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), events.StreamLedger)
	if err != nil {
		r.t.Fatal(err)
	}
	count := 0
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(r.t.Context(), seq)
		if err != nil {
			r.t.Fatal(err)
		}
		if m.Subject == events.LedgerSubject(partition, events.WriterClock) {
			count++
		}
	}
	return count
}

// shortGrant expires after life. Its times are the local clock's.
func shortGrant(account string, life time.Duration) events.Entry {
	e := grant(account, "short", "10")
	e.Grant.ExpiresAt = time.Now().Add(life)
	return e
}

func TestAGrantExpiresWithoutTrafficByOneTickOfTwoProjectors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, _ := r.start()
	second, _ := r.start()
	r.awaitReady(first)
	r.awaitReady(second)
	account := accountOf(1, 0)
	r.ask(shortGrant(account, 300*time.Millisecond))
	expired := r.awaitBalance(account, func(b events.Balance) bool { return b.Expired > 0 })
	if expired.Available != 0 || expired.Expired != events.MustCredits("10") {
		t.Errorf("after the expiry: available %s, expired %s", expired.Available, expired.Expired)
	}
	// Once both have folded the tick, neither has a reason for another.
	for _, p := range []*balances.Projector{first, second} {
		r.awaitStatus(p, func(s []balances.Status) bool { return s[1].Sequence >= expired.Sequence })
	}
	r.agree()
	if n := r.ticks(1); n != 1 {
		t.Errorf("the ledger has %d messages of the clock; want 1", n)
	}
	if last, err := r.streams.Ledger.GetLastMsgForSubject(t.Context(), "ledger.1.clock"); err != nil || last.Sequence != expired.Sequence {
		t.Errorf("the tick: %+v, %v; the balance stands at %d", last, err, expired.Sequence)
	}
}

func TestAPlansNextPeriodBeginsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	plan := events.Plan{Plan: "quick", Terms: events.Terms{Period: "PT1M", Grant: &events.PlanGrant{Amount: 5 * events.Credit}}}
	r.ask(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	account := accountOf(1, 0)
	nearlyOver := time.Now().Add(500*time.Millisecond - time.Minute)
	d := r.ask(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Plan: "quick", StartedAt: nearlyOver}})
	if d.Outcome != events.Applied || d.Balance.Available != 5*events.Credit {
		t.Fatalf("decision: %+v, balance %+v", d, d.Balance)
	}
	next := r.awaitBalance(account, func(b events.Balance) bool { return b.Granted > 5*events.Credit })
	if next.Available != 5*events.Credit || next.Expired != 5*events.Credit || !next.Period.Start.Equal(d.Balance.Period.End) {
		t.Errorf("in the next period: %+v", next)
	}
	r.agree()
}

func TestAChangeThatWaitedIsInTheCatalogOnceThePeriodEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	for _, name := range []string{"quick", "slow"} {
		r.ask(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: name, Terms: events.Terms{Period: "PT1M"}}})
	}
	account := accountOf(1, 0)
	set := events.Account{ID: account, Plan: "quick", StartedAt: time.Now().Add(500*time.Millisecond - time.Minute)}
	r.ask(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &set})
	set = events.Account{ID: account, Plan: "slow", Change: events.ChangePeriodEnd}
	if d := r.ask(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &set}); d.Balance.Next == nil || d.Balance.Plan != "quick" {
		t.Fatalf("decision: %+v, balance %+v", d, d.Balance)
	}
	r.await(r.streams.Catalog, events.CatalogAccount+account, func(e jetstream.KeyValueEntry) bool {
		a := decode[events.Account](t, e.Value())
		return a.Plan == "slow" && a.Next == nil
	})
	r.agree()
}

func TestAChangedPlanReachesItsAccountsWithoutTraffic(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	plan := events.Plan{Plan: "pro", Terms: events.Terms{Thresholds: []string{"10"}}}
	r.ask(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	account := accountOf(1, 0)
	r.ask(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Plan: "pro"}})
	r.ask(grant(account, "g", "100"))
	plan.Thresholds = []string{"200"}
	r.ask(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	r.awaitBalance(account, func(b events.Balance) bool { return b.Levels[0].Threshold == "200" && b.Levels[0].Reached })
}

// A local clock that runs ahead appends its tick too early: it changes nothing,
// and the next one waits for the ledger's clock.
func TestAClockAheadOfTheLedgersWaitsForIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start(func(c *balances.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Hour) }
	})
	r.awaitReady(p)
	account := accountOf(1, 0)
	r.ask(shortGrant(account, 1200*time.Millisecond))
	r.awaitBalance(account, func(b events.Balance) bool { return b.Expired > 0 })
	r.agree()
	if n := r.ticks(1); n > 3 {
		t.Errorf("%d messages of the clock for one expiry", n)
	}
}

func TestMoreAccountsThanOneChunkHoldsAreAllTicked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var chunk events.Chunk
	accounts, end := accountsOf(1, 2300), time.Now().Add(time.Second)
	for _, account := range accounts {
		e := grant(account, "g", "1")
		e.Grant.ExpiresAt = end
		chunk.Entries = append(chunk.Entries, e)
	}
	r.append(events.LedgerSubject(1, events.WriterCommand), "", chunk)
	p, _ := r.start()
	r.awaitReady(p)
	r.awaitStatus(p, func(s []balances.Status) bool { return s[1].Sequence >= 4 }) // the grants' and three of ticks
	for _, account := range accounts {
		r.awaitBalance(account, func(b events.Balance) bool { return b.Expired > 0 })
	}
	if n := r.ticks(1); n != 3 {
		t.Errorf("%d messages of the clock for %d accounts; want 3", n, len(accounts))
	}
}
