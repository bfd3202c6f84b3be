package analytics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// until is a ledger that holds the same up to a sequence, and then others.
func until(through uint64, recorded map[uint64]time.Time, then time.Time) func(uint64) time.Time {
	return func(s uint64) time.Time {
		if s <= through {
			return recorded[s]
		}
		return then
	}
}
