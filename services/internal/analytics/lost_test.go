package analytics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestWhatAShorterLedgerLostIsTold(t *testing.T) {
	t.Parallel()
	db := open(t, enginetest.Database(t))
	page, err := db.Ledger(t.Context(), "ada", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[uint64]time.Time{}
	for _, p := range page.Postings {
		recorded[p.Sequence] = p.RecordedAt
	}
	bob, err := db.Ledger(t.Context(), "bob", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	recorded[bob.Postings[0].Sequence] = bob.Postings[0].RecordedAt
	for name, c := range map[string]struct {
		stored func(sequence uint64) time.Time
		want   string
	}{
		"nothing, when both hold the same":            {func(s uint64) time.Time { return recorded[s] }, "nothing"},
		"what lies beyond the ledger's end":           {until(1, recorded, time.Time{}), "through 1: [grant second 5], 5 debits"},
		"what lies where other messages came instead": {until(4, recorded, noon), "through 4: [], 3 debits"},
		"everything, when it is another ledger":       {until(0, recorded, noon), "through 0: [grant first 10 grant second 5], 5 debits"},
	} {
		lost, err := db.LostBehind(t.Context(), func(s uint64) (time.Time, error) { return c.stored(s), nil })
		if err != nil {
			t.Fatal(err)
		}
		if lost == nil {
			if c.want != "nothing" {
				t.Errorf("%s: nothing; want %s", name, c.want)
			}
			continue
		}
		commands := []string{}
		for _, p := range lost.Commands {
			commands = append(commands, fmt.Sprintf("%s %s %s", p.Kind, p.Grant, p.Granted))
		}
		got := fmt.Sprintf("through %d: %v, %d debits", lost.Through, commands, lost.Debits)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEveryKindOfCommandIsTold that somebody gave: nobody gives the others again.
func TestEveryKindOfCommandIsTold(t *testing.T) {
	t.Parallel()
	in := func(e events.Entry) events.Entry { e.Account = "cem"; return e }
	db := open(t, enginetest.Database(t),
		grant("cem", "paid", "10"),
		in(events.Entry{Kind: events.EntryAccount, Settings: &events.Account{ID: "cem"}}),
		in(events.Entry{Kind: events.EntryAdjust, Adjust: &events.Adjustment{ID: "a1", Amount: credit("-1"), Reason: "test"}}),
		in(events.Entry{Kind: events.EntryHold, Hold: &events.Hold{ID: "h1", Amount: credit("2")}}),
		in(events.Entry{Kind: events.EntryCapture, Capture: &events.Capture{Hold: "h1", Amount: credit("1.5")}}),
		in(events.Entry{Kind: events.EntryHold, Hold: &events.Hold{ID: "h2", Amount: credit("3")}}),
		in(events.Entry{Kind: events.EntryRelease, Release: &events.Release{Hold: "h2"}}),
		in(events.Entry{Kind: events.EntryVoid, Void: &events.Void{Grant: "paid"}}),
		in(events.Entry{Kind: events.EntryTick}),
	)
	lost, err := db.LostBehind(t.Context(), func(uint64) (time.Time, error) { return time.Time{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range lost.Commands {
		if p.Account == "cem" {
			got = append(got, fmt.Sprintf("%s %s%s +%s -%s", p.Kind, p.Grant, p.Hold, p.Granted, p.Charged))
		}
	}
	want := []string{
		"grant paid +10 -0", "account  +0 -0", "adjust adjust:a1 +0 -1", "hold h1 +0 -0", "capture h1 +0 -1.5",
		"hold h2 +0 -0", "release h2 +0 -0", "void paid +0 -0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// until is a ledger that holds the same up to a sequence, and then others.
func until(through uint64, recorded map[uint64]time.Time, then time.Time) func(uint64) time.Time {
	return func(s uint64) time.Time {
		if s <= through {
			return recorded[s]
		}
		return then
	}
}
