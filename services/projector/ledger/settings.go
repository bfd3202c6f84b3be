package ledger

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// settings are what was set of an account, and what its terms came from.
type settings struct {
	content events.Account
	plan    *plan  // nil for none
	taken   uint64 // the number of its version that was taken over
}

// set decides a command to set an account.
func (x *step) set(content events.Account) events.Decision {
	a := x.account
	if content.ID == "" {
		content.ID = a.id
	}
	change := content.Change
	if fault := checkChange(content); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	content.Change = ""
	content.StartedAt = x.startedAt(content.StartedAt)
	if fault := checkAccount(content, a.id); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	next := &settings{content: content}
	var version *planVersion
	var planTerms events.Terms
	if content.Plan != "" {
		if next.plan = x.state.plans[content.Plan]; next.plan == nil {
			return refuse(events.RefusedNotFound, "plan: there is no plan "+content.Plan+": apply it first")
		}
		version = next.plan.last()
		planTerms = version.content.Terms
	}
	merged := merge(content.Terms, planTerms)
	if fault := checkMerged(merged); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	if fault := checkLimited(content.Terms, merged); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	if !x.changes(content, change) {
		return unchanged
	}
	if change != events.ChangePeriodEnd || !a.runs() {
		x.prorated = change == events.ChangeNowProrated
		x.settle(next, next.take(version))
	}
	x.end(x.begin(PostingAccount, x.now))
	return applied
}

// startedAt returns given in the ledger's resolution or, when it is absent,
// the account's start so far, which by default is now.
func (x *step) startedAt(given time.Time) time.Time {
	switch {
	case !given.IsZero() && storable(given):
		return microsOf(given).time()
	case !given.IsZero():
		return given
	case x.account.settings != nil:
		return x.account.settings.content.StartedAt
	}
	return x.now.time()
}

// settle puts new settings into effect. If they change the periods or their
// grants, the running period is closed at once and its grant expires.
func (x *step) settle(next *settings, t *terms) {
	a := x.account
	last := a.settings
	stays := last != nil && last.content.Plan == next.content.Plan &&
		last.content.StartedAt.Equal(next.content.StartedAt) && a.terms.samePeriods(t)
	if !stays {
		x.closePeriod()
	}
	a.settings = next
	a.adopt(t)
	x.adoptBudgets()
	if !stays {
		a.restart(x.now)
		x.pass()
	}
}

// closePeriod ends the running period before its time. Overage is not
// forgiven: the next grant repays it.
func (x *step) closePeriod() {
	c := x.account.cycle
	if c == nil || !c.running {
		return
	}
	x.expireOfPeriod(x.now)
	x.account.leavePeriod(x.now)
}

// restart plans the next period of an account that has none running.
func (a *account) restart(now micros) {
	if a.terms.period.some() && a.cycle == nil {
		a.cycle = &cycle{floor: since, start: since}
	}
	if a.cycle == nil {
		return
	}
	a.cycle.starts = never
	if a.terms.period.some() {
		a.cycle.starts = max(now, microsOf(a.settings.content.StartedAt))
	}
}

// checkAccount returns what is wrong with the settings of account id, or "".
func checkAccount(content events.Account, id string) string {
	switch {
	case content.ID != id:
		return "id: expected the account that the entry names"
	case content.Plan != "" && !events.ValidName(content.Plan):
		return "plan: expected 1 to 64 of A–Z a–z 0–9 _ -"
	case !storable(content.StartedAt):
		return "started_at: expected years 1 to 9999"
	}
	return checkTerms(content.Terms)
}
