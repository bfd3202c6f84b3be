package ledger_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// TestWhatDecodeTakesIsUpToDate alters every byte of a state and gives it the
// checksums it needs. Of what is taken nothing is overdue, and each account is
// due when a tick would leave it due.
func TestWhatDecodeTakesIsUpToDate(t *testing.T) {
	fold := newBench()
	fold.apply(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "p", Terms: events.Terms{Period: "day", Grant: &events.PlanGrant{Amount: 10, Rollover: &events.Rollover{Max: 5}}}}})
	fold.apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Plan: "p", Terms: events.Terms{
		Budgets: []events.Budget{{Scope: "key:*", Limit: 9, Per: "PT1H"}},
	}}})
	fold.grant("ada", 0, 20)
	later := grant("ada", "later", 5)
	later.Grant.EffectiveAt = fold.point.Time.Add(time.Hour)
	fold.apply(later)
	again := grant("ada", "again", 5)
	again.Grant.Recurrence = "PT2H"
	fold.apply(again)
	fold.apply(debitOf("", "k", 12))
	fold.apply(events.Entry{Kind: events.EntryHold, Account: "ada", Hold: &events.Hold{ID: "h", Amount: 1}})
	payload := unframe(t, encoded(t, fold.state))
	taken := 0
	for i := range payload {
		for _, change := range []byte{1, 2, 3, 0x40, 0x7f, 0x80} {
			altered := slices.Clone(payload)
			altered[i] ^= change
			state, err := ledger.Decode(bytes.NewReader(framed(altered)))
			if err != nil {
				continue
			}
			taken++
			checkUpToDate(t, state, i, change)
		}
	}
	if taken == 0 {
		t.Fatal("no altered state was taken")
	}
}

func checkUpToDate(t *testing.T, state *ledger.State, at int, change byte) {
	t.Helper()
	for account := range state.Accounts() {
		b, _ := state.Balance(account)
		p := ledger.Point{Sequence: b.Sequence + 1, Time: b.At}
		before, _ := state.NextDue()
		_, postings := state.Apply(p, events.Entry{Kind: events.EntryTick, Account: account}, nil)
		after, _ := state.NextDue()
		if len(postings) != 1 || !before.Equal(after) {
			t.Errorf("byte %d altered by %#x: %s was due at %v, is at %v, and a tick posted %+v", at, change, account, before, after, postings)
		}
		for _, g := range b.Grants {
			p.Index++
			state.Apply(p, events.Entry{Kind: events.EntryVoid, Account: account, Void: &events.Void{Grant: g.ID}}, nil)
		}
	}
}
