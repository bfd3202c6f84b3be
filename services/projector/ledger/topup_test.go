package ledger_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// topUpWatch looks at the balance of one account after every entry, and knows
// of its rule and its periods alone.
type topUpWatch struct {
	rule     events.TopUp
	period   string
	began    time.Time // of the account
	requests []events.TopUpRequest
	pending  bool // the last of them
}

// see checks that what was requested and what ended since the last look was to be.
func (w *topUpWatch) see(t *rapid.T, e events.Entry, d events.Decision, now time.Time, b events.Balance) {
	if w.pending {
		last := w.requests[len(w.requests)-1]
		if b.TopUp.State == events.TopUpPending && b.TopUp.Request.ID == last.ID {
			if !now.Before(last.ExpiresAt) {
				t.Fatalf("%s pends at %v, beyond its end: %+v", last.ID, now, last)
			}
			return
		}
		answered := e.Kind == events.EntryGrant && d.TopUp == events.TopUpAnswered && e.Grant.TopUp == last.ID
		declined := e.Kind == events.EntryDecline && d.Outcome == events.Applied && e.Decline.TopUp == last.ID
		if !answered && !declined && now.Before(last.ExpiresAt) {
			t.Fatalf("%s ended at %v by a %s", last.ID, now, e.Kind)
		}
		w.pending = false
	}
	if b.TopUp.State == events.TopUpPending {
		w.requested(t, *b.TopUp.Request, now)
		if b.Available >= w.rule.Below {
			t.Fatalf("requested although %s is available: %+v", b.Available, w.rule)
		}
		return
	}
	if started := b.Granted+b.Charged > 0; started && b.Available < w.rule.Below && !b.TopUp.NextAt.After(now) {
		t.Fatalf("%s is available at %v, none pends, and the next may be requested at %v", b.Available, now, b.TopUp.NextAt)
	}
	if next := b.TopUp.NextAt; next.After(now) && !w.mustWait(next.Add(-time.Microsecond)) {
		t.Fatalf("the next waits until %v for no reason: %+v", next, w.requests)
	}
}

// seeDue checks that the account is due when its request ends, or the next may be
// made, at the latest.
func (w *topUpWatch) seeDue(t *rapid.T, state *ledger.State, b events.Balance) {
	var by time.Time
	switch {
	case w.pending:
		by = b.TopUp.Request.ExpiresAt
	case b.Granted+b.Charged > 0 && b.Available < w.rule.Below:
		by = b.TopUp.NextAt
	default:
		return
	}
	if due, ok := state.NextDue(); !ok || due.After(by) {
		t.Fatalf("due at %v (%t); want it by %v: %+v", due, ok, by, b.TopUp)
	}
}

// requested takes in a new request.
func (w *topUpWatch) requested(t *rapid.T, r events.TopUpRequest, now time.Time) {
	if want := events.TopUpID("ada", uint64(len(w.requests)+1)); r.ID != want || !r.RequestedAt.Equal(now) {
		t.Fatalf("%s of %v is new at %v; want %s", r.ID, r.RequestedAt, now, want)
	}
	if w.mustWait(now) {
		t.Fatalf("%s is requested at %v, too soon or too often: %+v", r.ID, now, w.requests)
	}
	w.requests, w.pending = append(w.requests, r), true
}

// mustWait reports whether a request at an instant would be within the cooldown
// or one too many.
func (w *topUpWatch) mustWait(at time.Time) bool {
	cooldown, _ := w.rule.Waits()
	start := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch w.period {
	case "day":
		start = w.began.Add(at.Sub(w.began).Truncate(24 * time.Hour))
	case "PT1H":
		start = w.began.Add(at.Sub(w.began).Truncate(time.Hour))
	}
	count := 0
	for _, r := range w.requests {
		if !r.RequestedAt.Before(start) {
			count++
		}
		if at.Before(r.RequestedAt.Add(cooldown)) {
			return true
		}
	}
	return count >= w.rule.AtMostPerPeriod
}

// TestTopUpsAreNeverABurstAndNeverStuck has the owner of the partition append a
// tick whenever the account is due.
func TestTopUpsAreNeverABurstAndNeverStuck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 29, 7, 30, 0, 0, time.UTC)
		rule := someTopUp(t)
		if rule == nil || rule.AtMostPerPeriod == 0 {
			rule = &events.TopUp{Below: 10 * events.Credit, Amount: events.Credit, AtMostPerPeriod: 2, Cooldown: events.Duration(time.Minute), Timeout: events.Duration(time.Minute)}
		}
		terms := events.Terms{TopUp: rule, Period: rapid.SampledFrom([]string{"", "day", "PT1H"}).Draw(t, "period")}
		if terms.Period != "" {
			terms.Grant = &events.PlanGrant{Amount: amount(t, 1)}
		}
		state, watch := ledger.New(), &topUpWatch{rule: *rule, period: terms.Period, began: now}
		var sequence uint64
		apply := func(e events.Entry) {
			sequence++
			d, _ := state.Apply(ledger.Point{Sequence: sequence, Time: now}, e, nil)
			b, _ := state.Balance("ada")
			watch.see(t, e, d, now, b)
			watch.seeDue(t, state, b)
		}
		apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", StartedAt: now, Terms: terms}})
		for range rapid.IntRange(1, 30).Draw(t, "entries") {
			later := now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 20 * time.Minute, 5 * time.Hour, 40 * time.Hour}).Draw(t, "later"))
			for ticks := 0; ; ticks++ {
				next, ok := state.NextDue()
				if !ok || next.After(later) || ticks > 400 {
					break
				}
				if next.Before(now) {
					t.Fatalf("due at %v once everything until %v was done", next, now)
				}
				now = next
				apply(events.Entry{Kind: events.EntryTick, Account: "ada"})
			}
			now = later
			apply(busy(t, now))
		}
	})
}
