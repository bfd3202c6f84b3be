package ledger

import (
	"math/bits"

	"github.com/drawdown-credits/drawdown/events"
)

// checkChange returns what is wrong with when settings are to take effect, or
// "".
func checkChange(content events.Account) string {
	switch content.Change {
	case "", events.ChangeNow, events.ChangeNowProrated, events.ChangePeriodEnd:
	default:
		return "change: expected now, now_prorated or period_end"
	}
	if content.Next != nil {
		return "next: expected none; change: period_end has settings wait"
	}
	return ""
}

// runs reports whether a period is running, for whose end settings can wait.
func (a *account) runs() bool { return a.cycle != nil && a.cycle.running }

// changes notes what waits once content is set, which replaces what waited
// before, and reports whether it changes anything.
func (x *step) changes(content events.Account, change events.PlanChange) bool {
	a := x.account
	waited := a.waiting
	same := a.settings != nil && sameContent(a.settings.content, content)
	a.waiting = nil
	if change == events.ChangePeriodEnd && a.runs() && !same {
		a.waiting = &content
		return waited == nil || !sameContent(*waited, content)
	}
	return waited != nil || !same
}

// changePlan puts settings into effect that waited for the end of the period.
func (x *step) changePlan(at micros) {
	a := x.account
	p := x.begin(PostingChange, at)
	next := &settings{content: *a.waiting}
	next.plan = x.state.plans[a.waiting.Plan]
	a.settings, a.waiting = next, nil
	a.adopt(next.take(next.plan.at(at)))
	x.adoptBudgets()
	a.restart(at)
	x.end(p)
}

// periodGrant returns what the plan's grant of the period that just started
// amounts to: all of it or, where it is prorated, the share of the period,
// counted from the account's start, that lies ahead, rounded down.
func (x *step) periodGrant() events.Credits {
	a := x.account
	if !x.prorated {
		return a.terms.grant
	}
	start, end := a.terms.period.around(microsOf(a.settings.content.StartedAt), x.now)
	high, low := bits.Mul64(uint64(a.terms.grant), uint64(end-x.now))
	quotient, _ := bits.Div64(high, low, uint64(end-start)) // ≤ grant
	return events.Credits(quotient)
}
