package catalog

import (
	"strconv"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	budgetsMax   = 32
	aBudgetScope = "project:*, key:k1, or an attribute and its value, such as team:red, with * for each value"
	aBudgetLimit = "the most credits that the scope may cost, above 0"
	aBudgetPer   = "period, the account's own, or " + aPeriod
	perPeriod    = "period"
)

// budgets reads a list of budgets.
func (f field) budgets() []events.Budget {
	var budgets []events.Budget
	seen := map[[2]string]bool{}
	for _, element := range f.list("budgets", budgetsMax) {
		b := element.budget()
		if key := [2]string{b.Scope, b.Per}; seen[key] && b.Scope != "" {
			element.refuse("found the budget of %s per %s twice; expected it once", clip(b.Scope), b.Per)
		} else {
			seen[key] = true
		}
		budgets = append(budgets, b)
	}
	return budgets
}

func (f field) budget() events.Budget {
	var b events.Budget
	o := f.open("a budget", []string{"scope", "limit", "per"}, nil)
	o.required("scope", aBudgetScope, func(f field) {
		s, ok := f.text(aBudgetScope, events.MaxStringBytes)
		if ok && !events.ValidBudgetScope(s) {
			f.refuse("found %s; expected %s", clip(s), aBudgetScope)
		}
		b.Scope = s
	})
	o.required("limit", aBudgetLimit, func(f field) { b.Limit, _ = f.amount(aBudgetLimit, 1) })
	o.required("per", aBudgetPer, func(f field) {
		s, ok := f.text(aBudgetPer, events.MaxStringBytes)
		if _, _, err := events.ParsePeriod(s); ok && s != perPeriod && err != nil {
			f.refuse("found %s; expected %s", clip(s), aBudgetPer)
		}
		b.Per = s
	})
	return b
}

// refuseBudgetsPerPeriod refuses, in a plan without a period, the budgets per
// period.
func (f field) refuseBudgetsPerPeriod(budgets []events.Budget) {
	for i, b := range budgets {
		if b.Per == perPeriod {
			f.add(f.node, f.path+"/"+strconv.Itoa(i)+"/per", "found a budget per period in a plan without a period; expected one")
		}
	}
}
