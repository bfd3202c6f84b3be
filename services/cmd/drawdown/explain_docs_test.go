package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// TestTheGuideToBalancesOfThePastShowsWhatIsPrinted prints the balance that the
// guide tells of; -update rewrites what the guide shows.
func TestTheGuideToBalancesOfThePastShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	const guide = "../../../docs/explain.md"
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	left := events.MustCredits("4.224914")
	var out bytes.Buffer
	(&app{out: &out}).printBalance(events.Balance{
		Account: "acme", Available: 20*events.Credit + left, Granted: 25 * events.Credit, Drawn: 5*events.Credit - left,
		Sequence: 4, At: time.Date(2026, 11, 22, 15, 17, 20, 0, time.UTC),
		Grants: []events.GrantBalance{
			{ID: "trial", Amount: 5 * events.Credit, Remaining: left, Priority: 10},
			{ID: "invoice-2026-11", Amount: 20 * events.Credit, Remaining: 20 * events.Credit, Priority: 100},
		},
	})
	const begin, end = "$ drawdown balance acme --at 2026-11-22T15:17:21Z\n", "```\n"
	before, behind, found := strings.Cut(string(text), begin)
	shown, behind, ended := strings.Cut(behind, end)
	if !found || !ended {
		t.Fatalf("%s shows no balance of the past", guide)
	}
	switch {
	case *update:
		if err := os.WriteFile(guide, []byte(before+begin+out.String()+end+behind), 0o600); err != nil {
			t.Fatal(err)
		}
	case shown != out.String():
		t.Errorf("the guide shows\n%s\nnot\n%s", shown, &out)
	}
}
