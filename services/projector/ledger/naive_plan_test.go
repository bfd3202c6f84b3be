package ledger_test

import (
	"reflect"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// naivePlan is a plan as it stood from an instant on.
type naivePlan struct {
	since time.Time
	events.Plan
}

func (n *naive) applyPlan(p ledger.Point, plan events.Plan) string {
	n.now = latest(n.now, p.Time)
	known := n.plans[plan.Plan]
	if len(known) > 0 && reflect.DeepEqual(known[len(known)-1].Plan, plan) {
		return "unchanged"
	}
	n.plans[plan.Plan] = append(known, naivePlan{n.now, plan})
	return "applied"
}

// versionAt is how many versions of a plan there were at an instant; none is
// only that of no plan.
func (n *naive) versionAt(plan string, at time.Time) (version int) {
	for i, v := range n.plans[plan] {
		if i == 0 || !v.since.After(at) {
			version = i + 1
		}
	}
	return version
}

// catchUp lets time pass up to each change of the account's plan that it has not
// seen, takes that over, and then lets time pass until now.
func (n *naive) catchUp(a *naiveAccount, was time.Time, cause events.Cause) {
	now := a.now
	for a.settings != nil {
		var stops []time.Time
		for i, v := range n.plans[a.settings.Plan] {
			if i >= a.taken {
				stops = append(stops, latest(was, v.since))
			}
		}
		if a.waiting != nil {
			for _, v := range n.plans[a.waiting.Plan] {
				if v.since.After(a.period.End) && !v.since.After(now) {
					stops = append(stops, v.since)
				}
			}
		}
		if len(stops) == 0 {
			break
		}
		if a.now = slices.MinFunc(stops, time.Time.Compare); a.now.After(now) {
			a.now = now
		}
		n.pass(a, cause)
		for i, v := range n.plans[a.settings.Plan] {
			if i == a.taken && (!v.since.After(a.now) || a.now.Equal(now)) {
				n.takeOver(a, cause)
			}
		}
	}
	a.now = now
	n.pass(a, cause)
}

// takeOver puts the next version of the account's plan into effect.
func (n *naive) takeOver(a *naiveAccount, cause events.Cause) {
	a.taken++
	fresh := n.effective(*a.settings, a.taken)
	if a.period == nil && (fresh.Period == "") != (a.terms.Period == "") {
		a.plan(fresh)
	}
	a.retake(fresh)
	a.retakeBudgets(cause)
}
