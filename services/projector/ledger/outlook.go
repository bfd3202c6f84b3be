package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// fitsNextPeriod reports whether a plan's grant follows when the running period
// ends, with which amount would be there if nothing else happened until then,
// holds aside.
func (x *step) fitsNextPeriod(amount events.Credits) bool {
	a := x.account
	if a.cycle == nil || !a.cycle.running {
		return false
	}
	next := a.terms
	if a.waiting != nil {
		if microsOf(a.waiting.StartedAt) > a.cycle.end {
			return false
		}
		waits := settings{content: *a.waiting}
		next = waits.take(x.state.plans[a.waiting.Plan].at(a.cycle.end))
	}
	left := x.outliving()
	if a.terms.overage.preserve {
		left -= a.overage
	}
	return next.grant > 0 && amount-next.grant <= left
}

// outliving is how much of the active grants the end of the running period, and
// the start of one that follows, leave of what there is now.
func (x *step) outliving() events.Credits {
	a, c := x.account, x.account.cycle
	left := a.drawable
	for _, g := range a.expiring {
		if g.expires <= c.end {
			left -= g.remaining
		}
	}
	if c.rollover.some() {
		var carried events.Credits
		for _, g := range x.ofPeriod() {
			if g != nil {
				carried += g.remaining
			}
		}
		left += c.rollover.carried(carried) - carried
	}
	if a.renewing == nil {
		return left
	}
	for _, g := range a.renewing.rolling {
		if g.expires > c.end {
			left += g.renewal.rollover.carried(g.remaining) - g.remaining
		}
	}
	return left
}
