package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// rollover is how much is carried over a boundary. The zero value is none.
type rollover struct{ min, max events.Credits }

func (r rollover) some() bool { return r != rollover{} }

// carried returns what is carried when so much is left.
func (r rollover) carried(left events.Credits) events.Credits {
	return min(r.max, max(r.min, left))
}

// sound reports whether r is one that rolloverOf returns for a grant of amount.
func (r rollover) sound(amount events.Credits) bool {
	return !r.some() || r.max > 0 && r.max <= events.MaxCredits && r.min >= 0 && r.min <= min(r.max, amount)
}

// rolloverOf reads checked content; nil is none.
func rolloverOf(r *events.Rollover) rollover {
	if r == nil {
		return rollover{}
	}
	return rollover{min: r.Min, max: r.Max}
}

// checkRollover returns what is wrong with the rollover of a grant of amount,
// or "".
func checkRollover(r *events.Rollover, amount events.Credits) string {
	switch {
	case r == nil:
		return ""
	case r.Max <= 0 || r.Max > events.MaxCredits:
		return "rollover.max: expected more than 0 and at most " + events.MaxCredits.String()
	case r.Min < 0 || r.Min > r.Max:
		return "rollover.min: expected 0 to rollover.max, " + r.Max.String()
	case r.Min > amount:
		return "rollover.min: expected at most the grant's amount, " + amount.String()
	}
	return ""
}

// ofPeriod returns the open grants that belong to the running period, or to the
// one that just ended: what was carried into it, and the plan's.
func (x *step) ofPeriod() (grants [2]*grant) {
	c := x.account.cycle
	for i, id := range [...]string{c.rolled, c.grant} {
		if id != "" {
			grants[i] = x.state.known[grantKey(x.account.id, id)].open
		}
	}
	return grants
}

// expireOfPeriod ends the grants that belong to a period whose rest is not
// carried.
func (x *step) expireOfPeriod(at micros) {
	x.account.cycle.rollover = rollover{}
	for _, g := range x.ofPeriod() {
		if g != nil {
			x.expire(g, at)
		}
	}
}

// rollOver carries what is left of the period before into the one that just
// started, in a grant of its own. What is missing is granted, what is too much
// expires; the rest only moves.
func (x *step) rollOver(at micros) {
	a, c := x.account, x.account.cycle
	rule, grants := c.rollover, x.ofPeriod()
	c.rollover = a.terms.rollover
	var left events.Credits
	for _, g := range grants {
		if g != nil {
			left += g.remaining
			x.close(g, expired)
		}
	}
	x.forget(&c.rolled)
	carried := rule.carried(left)
	if _, err := a.granted.Add(max(0, carried-left)); err != nil {
		carried = left
	}
	if carried == 0 {
		return
	}
	p := x.begin(PostingRollover, at)
	a.drawable -= left
	c.outlived -= left
	p.Granted, p.Expired = max(0, carried-left), max(0, left-carried)
	a.granted += p.Granted
	a.expired += p.Expired
	c.rolled = a.periodGrantID() + ":rollover"
	x.open(p, &grant{
		id: c.rolled, amount: carried, priority: a.terms.priority,
		effective: c.start, expires: c.end, source: events.SourcePlan,
	}, fate{})
	x.end(p)
}

// forget drops what is known of a period's grant: its id cannot come again.
func (x *step) forget(id *string) {
	if *id != "" {
		delete(x.state.known, grantKey(x.account.id, *id))
		*id = ""
	}
}

// watchExpiry has an active grant expire by itself, unless it ends with a
// period that carries it over.
func (a *account) watchExpiry(g *grant) {
	g.expiryIndex = -1
	carried := g.source == events.SourcePlan && a.cycle != nil && a.cycle.rollover.some()
	if g.expires != never && !carried {
		a.expiring.push(g)
	}
}
