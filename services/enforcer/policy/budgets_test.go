package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// spending is the account at ledger sequence seq. A budget is written
// "+web@5": exceeded (+) or not (-), its project, the sequence that last changed
// that.
func spending(seq uint64, budgets ...string) events.Balance {
	b := at(seq)
	for _, text := range budgets {
		project, place, _ := strings.Cut(text[1:], "@")
		u := events.BudgetBalance{Scope: "project:" + project, Budget: "project:*", Per: "day", Limit: events.Credit, Exceeded: text[0] == '+'}
		var since uint64
		if _, err := fmt.Sscan(place, &since); err != nil {
			panic(err)
		}
		if since > 0 {
			u.Since = &events.Cause{Sequence: since, Kind: events.EntryDebit, At: instant(since)}
		}
		b.Budgets = append(b.Budgets, u)
	}
	return b
}

func TestReactToBudgets(t *testing.T) {
	low := func(b events.Balance, levels ...string) events.Balance {
		b.Levels = at(b.Sequence, levels...).Levels
		return b
	}
	tests := map[string]struct {
		seen []events.Balance
		want []string
	}{
		"a budget below its limit is told nothing of": {seen: []events.Balance{spending(1, "-web@0")}},
		"a budget is told once as exceeded and once as restored": {
			seen: []events.Balance{spending(2, "+web@2"), spending(3, "+web@2"), spending(5, "-web@4"), spending(6, "-web@4"), spending(7)},
			want: []string{"1 budget_exceeded project:web @2 [project:web per day]", "2 budget_restored project:web @4 []"},
		},
		"each value is told apart": {
			seen: []events.Balance{spending(2, "+web@2"), spending(4, "+web@2", "+app@4"), spending(6, "+app@4", "-web@5")},
			want: []string{
				"1 budget_exceeded project:web @2 [project:web per day]", "2 budget_exceeded project:app @4 [project:app per day project:web per day]",
				"3 budget_restored project:web @5 [project:app per day]",
			},
		},
		"a budget that is gone is restored by the account's last entry": {
			seen: []events.Balance{spending(2, "+web@2"), spending(6)},
			want: []string{"1 budget_exceeded project:web @2 [project:web per day]", "2 budget_restored project:web @6 []"},
		},
		"two budgets of one value and length of time are told as one": {
			seen: []events.Balance{spending(3, "+web@2", "+web@3"), spending(4, "+web@2", "-web@4"), spending(5, "-web@5", "-web@4")},
			want: []string{"1 budget_exceeded project:web @2 [project:web per day]", "2 budget_restored project:web @5 []"},
		},
		"a blip between two balances is told by nobody": {seen: []events.Balance{spending(2, "-web@0"), spending(6, "-web@5")}},
		"a budget comes after the levels of one cause, and does not swallow them": {
			seen: []events.Balance{low(spending(2, "+web@2"), "+20=20@2", "-stop=0@1"), low(spending(3, "+web@2"), "+20=20@2", "+stop=0@3")},
			want: []string{"1 low  @2 []", "2 budget_exceeded project:web @2 [project:web per day]", "3 exhausted  @3 []"},
		},
		"an account that is exhausted is told of its budgets all the same": {
			seen: []events.Balance{low(spending(2), "+stop=0@2"), low(spending(4, "+web@4"), "+stop=0@2"), low(spending(5, "-web@5"), "-stop=0@5")},
			want: []string{"1 exhausted  @2 []", "2 budget_exceeded project:web @4 [project:web per day]", "3 restored  @5 []", "4 budget_restored project:web @5 []"},
		},
		"a balance older than what was told is told nothing": {
			seen: []events.Balance{spending(4, "+web@4"), spending(3, "-web@0"), spending(5, "+web@4")},
			want: []string{"1 budget_exceeded project:web @4 [project:web per day]"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var published policy.Published
			var got []string
			for _, b := range test.seen {
				for _, s := range policy.React(published, b) {
					published = published.After(s)
					scope := s.Scope
					if scope == events.ScopeAccount {
						scope = ""
					}
					got = append(got, fmt.Sprintf("%d %s %s @%d %v", s.Sequence, s.Kind, scope, s.Cause.Sequence, s.Exceeded))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatWasToldOfBudgetsIsHowTheyStand holds whatever balances were missed.
func TestWhatWasToldOfBudgetsIsHowTheyStand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var published policy.Published
		told := map[string]bool{}
		for _, b := range histories.Draw(t, "history") {
			for _, s := range policy.React(published, b) {
				published = published.After(s)
				name := events.BudgetBalance{Scope: s.Scope, Per: s.Per}.Name()
				switch s.Kind {
				case events.SignalBudgetExceeded:
					if told[name] {
						t.Fatalf("%s is told as exceeded again", name)
					}
					told[name] = true
				case events.SignalBudgetRestored:
					if !told[name] {
						t.Fatalf("%s is told as restored, and was not exceeded", name)
					}
					delete(told, name)
				}
			}
			var exceeded, known []string
			for _, u := range b.Budgets {
				if u.Exceeded {
					exceeded = append(exceeded, u.Name())
				}
			}
			for name := range told {
				known = append(known, name)
			}
			slices.Sort(exceeded)
			slices.Sort(known)
			if !slices.Equal(exceeded, known) {
				t.Fatalf("exceeded are %v, told are %v", exceeded, known)
			}
		}
	})
}
