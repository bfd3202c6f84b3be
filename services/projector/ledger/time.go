package ledger

import (
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// cycle is an account's place among its periods: one is running, or the next
// is to begin at starts. Periods never overlap, whatever becomes of the terms.
type cycle struct {
	running    bool
	start, end micros
	granted    events.Credits // of grants that took effect in the running period
	outlived   events.Credits // what was drawable as it started, less what that moved into a grant of it or took

	starts micros // when none is running; never if none will
	floor  micros // the end of the last one: none starts before
	nth    int    // how many periods began at start

	grant string // the last plan grant's id; "" if there was none

	rollover rollover // of the running period's plan grant
	rolled   string   // the id of the last grant that was carried into a period; "" if there was none
}

// byExpiry is the order in which grants expire.
type byExpiry struct{}

func (byExpiry) before(a, b *grant) bool {
	if a.expires != b.expires {
		return a.expires < b.expires
	}
	return a.order < b.order
}

func (byExpiry) moved(g *grant, index int) { g.expiryIndex = int32(index) }

// byEffective is the order in which pending grants take effect.
type byEffective struct{}

func (byEffective) before(a, b *grant) bool {
	if a.effective != b.effective {
		return a.effective < b.effective
	}
	return a.order < b.order
}

func (byEffective) moved(g *grant, index int) { g.index = int32(index) }

// byDue is the order in which time changes accounts.
type byDue struct{}

func (byDue) before(a, b *account) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	return a.id < b.id
}

func (byDue) moved(a *account, index int) { a.dueIndex = int32(index) }

// change is what time does to an account, in the order of one instant.
type change uint8

const (
	holdExpiry change = iota
	expiry
	periodEnd
	recurrence
	periodStart
	activation
)

// next returns what time does next to a, and when.
func (a *account) next() (micros, change) {
	at, what := a.holds.due(), holdExpiry
	if len(a.expiring) > 0 && a.expiring[0].expires < at {
		at, what = a.expiring[0].expires, expiry
	}
	c := a.cycle
	if c != nil && c.running && c.end < at {
		at, what = c.end, periodEnd
	}
	if due := a.renewing.due(); due < at {
		at, what = due, recurrence
	}
	if c != nil && !c.running && c.starts < at {
		at, what = c.starts, periodStart
	}
	if len(a.pending) > 0 && a.pending[0].effective < at {
		at, what = a.pending[0].effective, activation
	}
	return at, what
}

func (a *account) nextDue() micros {
	at, _ := a.next()
	return min(at, a.holds.forgotten(), a.budgetsDue(), a.topUpDue())
}

// pass lets time pass until now.
func (x *step) pass() {
	for {
		at, what := x.account.next()
		if at > x.now {
			x.account.holds.forget(x.now)
			x.endWindows()
			x.account.topUps.timeOut(x.now)
			return
		}
		switch what {
		case holdExpiry:
			x.expireHold(at)
		case expiry:
			x.expire(x.account.expiring[0], at)
		case periodEnd:
			x.endPeriod(at)
		case recurrence:
			x.recur(x.account.renewing.recurring[0], at)
		case periodStart:
			x.startPeriod(at)
		case activation:
			x.activate(at)
		}
	}
}

func (x *step) expire(g *grant, at micros) {
	p := x.begin(PostingExpire, at)
	p.Grant, p.Expired = g.id, g.remaining
	x.account.expired += g.remaining
	x.account.drawable -= g.remaining
	x.close(g, expired)
	x.end(p)
}

func (x *step) activate(at micros) {
	g := x.account.pending[0]
	x.account.pending.remove(0)
	p := x.begin(PostingActivate, at)
	p.Grant = g.id
	x.takeEffect(p, g)
	x.end(p)
}

// endPeriod ends a period that ran its full length: overage is forgiven unless
// the terms preserve it.
func (x *step) endPeriod(at micros) {
	a := x.account
	if a.overage > 0 && !a.terms.overage.preserve {
		p := x.begin(PostingForgive, at)
		a.forgive(p)
		x.end(p)
	}
	a.leavePeriod(at)
	if a.waiting != nil {
		x.changePlan(at)
	}
	if a.cycle.starts > at {
		x.expireOfPeriod(at) // no period follows to carry anything into
		return
	}
	x.follows = true
}

// leavePeriod ends the running period. The next one starts at the same time,
// if the terms still have periods.
func (a *account) leavePeriod(at micros) {
	a.cycle.running = false
	a.cycle.floor = at
	a.cycle.starts = never
	if a.terms.period.some() {
		a.cycle.starts = at
	}
	a.rebase()
}

// startPeriod starts the period that contains now. If that one starts only
// later than at, whole periods went by unnoticed: they are skipped.
func (x *step) startPeriod(at micros) {
	a, c := x.account, x.account.cycle
	start, end := a.terms.period.around(microsOf(a.settings.content.StartedAt), x.now)
	start = max(start, c.floor)
	if start > at {
		c.starts = start
		return
	}
	if c.nth++; start > c.start {
		c.nth = 1
	}
	c.running, c.start, c.end = true, start, end
	c.granted, c.outlived = 0, a.drawable
	a.rebase()
	x.restartPeriodWindows()
	x.rollOver(at)
	if x.follows {
		x.follows = false
		x.rollOthers(at)
	}
	p := x.begin(PostingPeriod, at)
	x.issuePlanGrant(p)
	x.end(p)
}

// issuePlanGrant issues the grant of the period that just started, unless the
// terms have none or the account's totals would overflow. The plan grant before
// it is closed, and is forgotten now: its id cannot come again.
func (x *step) issuePlanGrant(p *Posting) {
	a, c := x.account, x.account.cycle
	x.forget(&c.grant)
	amount := x.periodGrant()
	if _, err := a.granted.Add(amount); amount == 0 || err != nil {
		return
	}
	c.grant = a.periodGrantID()
	x.issue(p, &grant{
		id: c.grant, amount: amount, priority: a.terms.priority,
		effective: c.start, expires: c.end, source: events.SourcePlan,
	}, fate{})
}

// periodGrantID names the plan's grant of the running period.
func (a *account) periodGrantID() string {
	c := a.cycle
	id := planIDPrefix + a.settings.content.Plan + ":" + c.start.time().Format(time.RFC3339Nano)
	if c.nth > 1 {
		id += ":" + strconv.Itoa(c.nth)
	}
	return id
}
