package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// TestHoldsReserveWhatIsAvailable shows that a hold takes its amount from what
// is available, never more, and that its end gives it back: so of two that want
// the last credits only the first in the ledger gets them.
func TestHoldsReserveWhatIsAvailable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := ledger.New()
		open := map[string]events.Credits{} // by account and hold
		for i, it := range history(t) {
			point := ledger.Point{Sequence: uint64(i + 1), Time: it.point.Time}
			account := it.entry.Account
			if it.entry.Kind == events.EntryHold {
				ended(open, apply(state, point, events.Entry{Kind: events.EntryTick, Account: account}))
				point.Index++
			}
			before, _ := state.Balance(account)
			d, postings := state.Apply(point, it.entry, nil)
			ended(open, postings)
			after, _ := state.Balance(account)
			if it.entry.Kind == events.EntryHold {
				checkPlaced(t, it.entry.Hold, d, before, after)
				if d.Outcome == events.Applied {
					open[account+" "+it.entry.Hold.ID] = it.entry.Hold.Amount
				}
			}
			if account != "" && after.Held != sumOf(open, account) {
				t.Fatalf("held are %s; open are %v", after.Held, open)
			}
		}
	})
}

func checkPlaced(t *rapid.T, h *events.Hold, d events.Decision, before, after events.Balance) {
	switch {
	case d.Outcome == events.Applied && (h.Amount > before.Available || after.Available != before.Available-h.Amount):
		t.Fatalf("a hold of %s took available from %s to %s", h.Amount, before.Available, after.Available)
	case d.Outcome != events.Applied && after.Available != before.Available:
		t.Fatalf("a hold that was not placed took available from %s to %s", before.Available, after.Available)
	case d.Code == events.RefusedInsufficient && (d.Shortage == nil || d.Shortage.Required != h.Amount || d.Shortage.Available >= h.Amount):
		t.Fatalf("a hold of %s was refused with %+v", h.Amount, d.Shortage)
	}
}

// ended takes the holds that postings end out of open.
func ended(open map[string]events.Credits, postings []ledger.Posting) {
	for _, p := range postings {
		switch p.Kind {
		case ledger.PostingCapture, ledger.PostingRelease, ledger.PostingHoldExpire:
			delete(open, p.Account+" "+p.Hold)
		}
	}
}

func sumOf(open map[string]events.Credits, account string) (sum events.Credits) {
	for id, amount := range open {
		if len(id) > len(account) && id[:len(account)+1] == account+" " {
			sum += amount
		}
	}
	return sum
}

func apply(state *ledger.State, p ledger.Point, e events.Entry) []ledger.Posting {
	_, postings := state.Apply(p, e, nil)
	return postings
}

func TestAnAccountRemembersHoldsForAnHourOnly(t *testing.T) {
	fold := newBench()
	fold.apply(grant("ada", "g", 10*events.Credit))
	before := len(encoded(t, fold.state))
	for i := range 1000 {
		id := fmt.Sprint("h", i)
		fold.apply(events.Entry{Kind: events.EntryHold, Account: "ada", Hold: &events.Hold{ID: id, Amount: events.Credit}})
		fold.apply(events.Entry{Kind: events.EntryRelease, Account: "ada", Release: &events.Release{Hold: id}})
	}
	if size := len(encoded(t, fold.state)); size < before+1000*20 {
		t.Fatalf("%d bytes with 1000 holds that ended, %d without", size, before)
	}
	next, ok := fold.state.NextDue()
	if want := fold.point.Time.Add(-time.Microsecond + time.Minute + time.Hour); !ok || !next.Equal(want) {
		t.Fatalf("due at %v, %t; want %v, when the last hold may be forgotten", next, ok, want)
	}
	fold.point.Time = next.Add(-time.Microsecond)
	fold.apply(events.Entry{Kind: events.EntryTick, Account: "ada"})
	if size := len(encoded(t, fold.state)); size > before+20 {
		t.Fatalf("%d bytes once the holds are forgotten, %d before them", size, before)
	}
	if next, ok := fold.state.NextDue(); ok {
		t.Fatalf("still due at %v", next)
	}
}

// TestAnAccountHasOnlySoManyOpenHolds also shows that the end of one makes room.
func TestAnAccountHasOnlySoManyOpenHolds(t *testing.T) {
	const most = 10_000
	fold := newBench()
	fold.apply(grant("ada", "g", events.MaxCredits))
	place := func(id string) string {
		fold.point.Sequence++
		e := events.Entry{Kind: events.EntryHold, Account: "ada", Hold: &events.Hold{ID: id, Amount: 1}}
		d, _ := fold.state.Apply(fold.point, e, nil)
		return string(d.Outcome) + d.Code
	}
	for i := range most {
		if got := place(fmt.Sprint("h", i)); got != "applied" {
			t.Fatalf("hold %d: %s", i, got)
		}
	}
	if got := place("more"); got != "refusedtoo_many" {
		t.Errorf("one more: %s", got)
	}
	if got := place("h7"); got != "unchanged" {
		t.Errorf("one of them again: %s", got)
	}
	fold.apply(events.Entry{Kind: events.EntryRelease, Account: "ada", Release: &events.Release{Hold: "h7"}})
	if got := place("more"); got != "applied" {
		t.Errorf("one more when one has ended: %s", got)
	}
}
