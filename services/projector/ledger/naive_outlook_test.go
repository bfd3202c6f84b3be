package ledger_test

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

func until(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " until " + at.String()
}

// resets is when the next plan's grant makes amount available, if nothing else
// happens and nothing is held; zero for never.
func (n *naive) resets(a *naiveAccount, amount events.Credits) (at time.Time) {
	if a.period == nil {
		return at
	}
	end, next := a.period.End, a.terms
	if a.waiting != nil {
		next = n.effective(*a.waiting, n.versionAt(a.waiting.Plan, end))
		if a.waiting.StartedAt.After(end) {
			return at
		}
	}
	if next.Period == "" || next.Grant == nil {
		return at
	}
	has, ofPeriod := next.Grant.Amount, events.Credits(0)
	for _, g := range a.grants {
		switch {
		case a.carry != nil && (g == a.planGrant || g == a.carried):
			ofPeriod += g.left()
		case !g.active || !g.isOpen() || !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(end):
		case g.content.Recurrence == "" && g.content.Rollover != nil:
			has += clamp(*g.content.Rollover, g.left())
		default:
			has += g.left()
		}
	}
	if a.carry != nil {
		has += clamp(*a.carry, ofPeriod)
	}
	if a.terms.PreserveOverage != nil && *a.terms.PreserveOverage {
		has -= a.overage()
	}
	if has < amount {
		return at
	}
	return end
}

func clamp(r events.Rollover, left events.Credits) events.Credits {
	return min(r.Max, max(r.Min, left))
}
