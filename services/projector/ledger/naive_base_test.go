package ledger_test

import "github.com/drawdown-credits/drawdown/events"

// naiveStart is what an account was as its running period started.
type naiveStart struct {
	drawable, granted, expired events.Credits // granted by grants that are, or were, active
	lost                       events.Credits // in starting
	begun                      bool           // nothing is lost in starting any more
}

func (a *naiveAccount) grantedActive() events.Credits {
	return a.sum(func(g *naiveGrant) events.Credits {
		if !g.active {
			return 0
		}
		return g.granted
	})
}

func (a *naiveAccount) expiredEver() events.Credits {
	return a.sum(func(g *naiveGrant) events.Credits { return g.expired })
}

// starting notes what an account has before its next period changes anything.
func (a *naiveAccount) starting() {
	a.start = naiveStart{drawable: a.drawableSum(), granted: a.grantedActive(), expired: a.expiredEver()}
}

// started ends the losses of a start.
func (a *naiveAccount) started() {
	a.start.lost, a.start.begun = a.expiredEver()-a.start.expired, true
}

// base is what percentages are of: what there was as the period started, less
// what its start took, and whatever was granted since.
func (a *naiveAccount) base() events.Credits {
	if a.period == nil {
		return a.topped
	}
	lost := a.start.lost
	if !a.start.begun {
		lost = a.expiredEver() - a.start.expired
	}
	return a.start.drawable - lost + a.grantedActive() - a.start.granted
}
