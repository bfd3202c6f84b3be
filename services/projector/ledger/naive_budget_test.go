package ledger_test

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

// naiveWork is one charge and what it was for.
type naiveWork struct {
	amount     events.Credits
	project    string
	key        string
	attributes map[string]string
}

type naiveBudget struct {
	events.Budget
	start, end time.Time // of the window; zero where it has none
	from       int       // the first of the account's work in it
	states     map[string]*naiveState
}

// naiveState is what was last noted of one value.
type naiveState struct {
	exceeded bool
	since    *events.Cause
}

// value returns which value of b's scope w counts for, or "".
func (b *naiveBudget) value(w naiveWork) string {
	name, wanted, _ := strings.Cut(b.Scope, ":")
	all := map[string]string{}
	for n, v := range w.attributes {
		all[n] = v
	}
	all["project"], all["key"] = w.project, w.key
	if wanted == "*" || wanted == all[name] {
		return all[name]
	}
	return ""
}

func (a *naiveAccount) spent(b *naiveBudget, value string) (sum events.Credits) {
	for _, w := range a.work[b.from:] {
		if b.value(w) == value {
			sum += w.amount
		}
	}
	return sum
}

func (a *naiveAccount) heldOf(b *naiveBudget, value string) (sum events.Credits) {
	for _, h := range a.holds {
		if h.State == events.HoldOpen && b.value(workOf(h.content)) == value {
			sum += h.Amount
		}
	}
	return sum
}

func workOf(h events.Hold) naiveWork {
	return naiveWork{project: h.Project, key: h.Key, attributes: h.Attributes}
}

// values returns every value that b has anything of.
func (a *naiveAccount) values(b *naiveBudget) []string {
	found := map[string]bool{}
	for _, w := range a.work[b.from:] {
		if w.amount > 0 {
			found[b.value(w)] = true
		}
	}
	for _, h := range a.holds {
		if h.State == events.HoldOpen {
			found[b.value(workOf(h.content))] = true
		}
	}
	for value, s := range b.states {
		if s.since != nil {
			found[value] = true
		}
	}
	delete(found, "")
	var values []string
	for value := range found {
		values = append(values, value)
	}
	return values
}

// retakeBudgets makes the budgets of the terms in effect those that count.
func (a *naiveAccount) retakeBudgets(cause events.Cause) {
	old := a.budgets
	a.budgets = nil
	for _, wanted := range a.terms.Budgets {
		b := &naiveBudget{from: len(a.work), states: map[string]*naiveState{}}
		if i := slices.IndexFunc(old, func(b *naiveBudget) bool { return b.Scope == wanted.Scope && b.Per == wanted.Per }); i >= 0 {
			b = old[i]
			b.Budget = wanted
		} else {
			b.Budget = wanted
			a.window(b)
		}
		a.budgets = append(a.budgets, b)
	}
	a.assess(cause)
}

// window sets the window of b that contains now.
func (a *naiveAccount) window(b *naiveBudget) {
	b.start, b.end = time.Time{}, time.Time{}
	start := a.settings.StartedAt
	switch {
	case b.Per == "period" && a.period != nil:
		b.start, b.end = a.period.Start, a.period.End
	case b.Per == "period":
	case a.now.Before(start):
		b.end = start
	default:
		i := 0
		for !naiveBoundary(start, b.Per, i+1).After(a.now) {
			i++
		}
		b.start, b.end = naiveBoundary(start, b.Per, i), naiveBoundary(start, b.Per, i+1)
	}
}

// renew begins new windows for the budgets of the account's periods, or for
// those others whose window has ended.
func (a *naiveAccount) renew(ofPeriods bool, cause events.Cause) {
	for _, b := range a.budgets {
		if ofPeriods != (b.Per == "period") || !ofPeriods && b.end.After(a.now) {
			continue
		}
		a.window(b)
		b.from = len(a.work)
		for value, s := range b.states {
			if !s.exceeded {
				delete(b.states, value)
			}
		}
	}
	a.assess(cause)
}

// assess notes which values are exceeded.
func (a *naiveAccount) assess(cause events.Cause) {
	for _, b := range a.budgets {
		for _, value := range a.values(b) {
			s := b.states[value]
			if s == nil {
				s = &naiveState{}
				b.states[value] = s
			}
			if exceeded := a.spent(b, value) >= b.Limit; exceeded != s.exceeded {
				s.exceeded, s.since = exceeded, &cause
			}
		}
	}
}

// lack says which scope refuses a hold first, how much it has and until when, or
// "".
func (n *naive) lack(a *naiveAccount, h events.Hold) string {
	type refusal struct {
		rank  int
		limit events.Credits
		of    events.Budget
		text  string
	}
	var all []refusal
	for _, b := range a.budgets {
		value := b.value(workOf(h))
		room := max(0, b.Limit-a.spent(b, value)-a.heldOf(b, value))
		if value == "" || h.Amount <= room {
			continue
		}
		name, _, _ := strings.Cut(b.Scope, ":")
		rank := slices.Index([]string{"key", "project"}, name)
		if rank < 0 {
			rank = 2
		}
		text := name + ":" + value + " " + room.String()
		if h.Amount <= b.Limit {
			text += until(b.end)
		}
		all = append(all, refusal{rank, b.Limit, b.Budget, text})
	}
	if len(all) > 0 {
		return slices.MinFunc(all, func(r, s refusal) int {
			return cmp.Or(cmp.Compare(r.rank, s.rank), cmp.Compare(r.limit, s.limit), cmp.Compare(r.of.Scope, s.of.Scope), cmp.Compare(r.of.Per, s.of.Per))
		}).text
	}
	if h.Amount > a.available() {
		return "account " + a.available().String() + until(n.resets(a, h.Amount))
	}
	return ""
}

func (a *naiveAccount) listBudgets() []events.BudgetBalance {
	var list []events.BudgetBalance
	for _, b := range a.budgets {
		name, _, _ := strings.Cut(b.Scope, ":")
		for _, value := range a.values(b) {
			listed := events.BudgetBalance{Scope: name + ":" + value, Budget: b.Scope, Per: b.Per, Limit: b.Limit,
				Spent: a.spent(b, value), Held: a.heldOf(b, value), Start: b.start, End: b.end}
			if s := b.states[value]; s != nil {
				listed.Exceeded, listed.Since = s.exceeded, s.since
			}
			list = append(list, listed)
		}
	}
	share := func(b events.BudgetBalance) *big.Rat { return big.NewRat(int64(b.Spent+b.Held), int64(b.Limit)) }
	slices.SortFunc(list, func(b, c events.BudgetBalance) int {
		names := cmp.Or(cmp.Compare(b.Scope, c.Scope), cmp.Compare(b.Budget, c.Budget), cmp.Compare(b.Per, c.Per))
		switch {
		case b.Exceeded && c.Exceeded:
			return cmp.Or(cmp.Compare(b.Since.Sequence, c.Since.Sequence), cmp.Compare(b.Since.Index, c.Since.Index), names)
		case b.Exceeded:
			return -1
		case c.Exceeded:
			return 1
		}
		return cmp.Or(share(c).Cmp(share(b)), names)
	})
	return list
}

// someBudgets draws the budgets of terms.
func someBudgets(t *rapid.T) []events.Budget {
	var budgets []events.Budget
	for range rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "budgets") {
		b := events.Budget{
			Scope: rapid.SampledFrom([]string{"project:*", "project:p1", "key:*", "key:k2", "team:*", "team:t1"}).Draw(t, "scope"),
			Limit: amount(t, 1),
			Per:   rapid.SampledFrom([]string{"day", "week", "month", "PT1H", "PT30M", "period"}).Draw(t, "per"),
		}
		if !slices.ContainsFunc(budgets, func(c events.Budget) bool { return c.Scope == b.Scope && c.Per == b.Per }) {
			budgets = append(budgets, b)
		}
	}
	return budgets
}

// withoutPeriod drops from budgets those that need a period.
func withoutPeriod(budgets []events.Budget) []events.Budget {
	return slices.DeleteFunc(budgets, func(b events.Budget) bool { return b.Per == "period" })
}
