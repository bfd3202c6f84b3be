package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// timely checks that a stands where time leaves an account at an entry: what was
// due by then is done, and what is due next is when a says.
func (d *stateDecoder) timely(a *account, due micros) {
	now := a.clock.now
	for _, g := range a.active {
		d.check(g.effective <= now && g.expires > now && g.recursAt() > now, "time of a grant")
		d.check(g.source != events.SourcePlan || a.cycle != nil, "grant of a period")
	}
	for _, g := range a.renewing.asleep() {
		d.check(g.effective <= now && g.expires > now && g.recursAt() > now, "time of a grant")
		d.check(g.source != events.SourcePlan, "grant of a period")
	}
	for _, g := range a.pending {
		d.check(g.effective > now && g.expires > g.effective && g.source != events.SourcePlan, "time of a grant")
	}
	if c := a.cycle; c != nil {
		d.check(!c.running || c.start <= now && now < c.end && c.floor <= c.start, "period of an account")
		d.check(c.running || c.starts > now, "period of an account")
	}
	for _, b := range a.budgets {
		d.check(b.start < b.end && (!b.period.some() || b.end > now), "window of a budget")
	}
	next := a.nextDue()
	if a.settings == nil || a.settings.plan.behind(a.settings.taken) == nil {
		d.check(due == next, "due time of an account")
		return
	}
	d.check(due <= min(next, a.settings.plan.behind(a.settings.taken).since), "due time of an account")
}
