package ledger_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func budgeted(account string, budgets ...events.Budget) events.Entry {
	return events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Terms: events.Terms{Budgets: budgets}}}
}

func debitOf(project, key string, amount events.Credits) events.Entry {
	e := debit("ada", amount)
	e.Debit.Data = events.UsageData{Project: project, Key: key}
	return e
}

// TestABalanceListsTheBudgetsThatMatterMost charges more values than a balance
// lists, and sorts them all to tell what it must list.
func TestABalanceListsTheBudgetsThatMatterMost(t *testing.T) {
	fold := newBench()
	limits := map[string]events.Credits{"project:*": 40, "key:*": 60}
	fold.apply(budgeted("ada", events.Budget{Scope: "project:*", Limit: 40, Per: "day"}, events.Budget{Scope: "key:*", Limit: 60, Per: "day"}))
	type value struct {
		scope, budget string
		spent, limit  events.Credits
		since         uint64
	}
	spent := map[string]*value{}
	for i := range 9000 {
		amount := events.Credits(i*7919%7 + 1)
		work := debitOf(fmt.Sprint("p", i*104729%397%(i%397+1)), fmt.Sprint("k", i*1299709%401), amount)
		fold.apply(work)
		for scope, budget := range map[string]string{"project:" + work.Debit.Data.Project: "project:*", "key:" + work.Debit.Data.Key: "key:*"} {
			v := spent[scope]
			if v == nil {
				v = &value{scope: scope, budget: budget, limit: limits[budget]}
				spent[scope] = v
			}
			if v.spent += amount; v.spent >= v.limit && v.since == 0 {
				v.since = fold.point.Sequence
			}
		}
		if i%500 != 499 {
			continue
		}
		var exceeded, others []*value
		for _, v := range spent {
			if v.since > 0 {
				exceeded = append(exceeded, v)
			} else {
				others = append(others, v)
			}
		}
		slices.SortFunc(exceeded, func(v, w *value) int { return cmp.Or(cmp.Compare(v.since, w.since), cmp.Compare(v.scope, w.scope)) })
		slices.SortFunc(others, func(v, w *value) int {
			return cmp.Or(cmp.Compare(w.spent*v.limit, v.spent*w.limit), cmp.Compare(v.scope, w.scope))
		})
		listed := slices.Concat(exceeded[:min(len(exceeded), events.BalanceExceededMax)], others[:min(len(others), events.BalanceBudgetsMax)])
		b, _ := fold.state.Balance("ada")
		if len(b.Budgets) != len(listed) || b.MoreBudgets != len(spent)-len(listed) {
			t.Fatalf("after %d charges %d budgets are listed and %d more; expected %d of %d", i+1, len(b.Budgets), b.MoreBudgets, len(listed), len(spent))
		}
		for j, want := range listed {
			if got := b.Budgets[j]; got.Scope != want.scope || got.Spent != want.spent || got.Exceeded != (want.since > 0) {
				t.Fatalf("after %d charges budget %d is %+v; expected %+v", i+1, j, got, *want)
			}
		}
	}
	if b, _ := fold.state.Balance("ada"); b.MoreBudgets == 0 || len(b.Budgets) < events.BalanceExceededMax {
		t.Fatalf("too few values were charged: %d listed, %d more", len(b.Budgets), b.MoreBudgets)
	}
}

// TestAFullBudgetCountsNoFurtherValue shows that usage goes on, is corrected, and
// is counted again from the next window on.
func TestAFullBudgetCountsNoFurtherValue(t *testing.T) {
	const most = 100_000
	fold := newBench()
	fold.apply(budgeted("ada", events.Budget{Scope: "key:*", Limit: events.Credit, Per: "day"}))
	for i := range most {
		fold.apply(debitOf("", fmt.Sprint("k", i), 1))
	}
	values := func() int {
		b, _ := fold.state.Balance("ada")
		return len(b.Budgets) + b.MoreBudgets
	}
	further := debitOf("", "further", events.Credit)
	fold.apply(further)
	charge := events.LedgerPlace{Sequence: fold.point.Sequence}
	if b, _ := fold.state.Balance("ada"); values() != most || b.Charged != most+events.Credit || b.Budgets[0].Exceeded {
		t.Fatalf("a further value was counted or not charged: %d values, charged %v", values(), b.Charged)
	}
	fold.apply(debitOf("", "k7", events.Credit))
	if b, _ := fold.state.Balance("ada"); b.Budgets[0].Scope != "key:k7" || b.Budgets[0].Spent != events.Credit+1 {
		t.Fatalf("a value that is counted was not counted on: %+v", b.Budgets[0])
	}
	var encoded bytes.Buffer
	if err := fold.state.Encode(&encoded); err != nil {
		t.Fatal(err)
	}
	state, err := ledger.Decode(&encoded)
	if err != nil {
		t.Fatal(err)
	}
	fold.state = state
	fold.apply(events.Entry{Kind: events.EntryCorrection, Account: "ada", Correction: &events.Correction{
		Source: "/api", ID: "u1", First: charge, Corrects: charge, Was: further.Debit,
	}})
	if b, _ := fold.state.Balance("ada"); b.Charged != most+events.Credit || values() != most {
		t.Fatalf("the charge of a further value was not taken back: charged %v, %+v", b.Charged, fold.postings)
	}
	fold.point.Time = fold.point.Time.Add(24 * time.Hour)
	fold.apply(further)
	if b, _ := fold.state.Balance("ada"); b.Budgets[0].Scope != "key:further" || !b.Budgets[0].Exceeded {
		t.Fatalf("the next window does not count: %+v", b.Budgets)
	}
}
