package ledger_test

import (
	"cmp"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

func (a *naiveAccount) sum(of func(*naiveGrant) events.Credits) (total events.Credits) {
	for _, g := range a.grants {
		total += of(g)
	}
	return total
}

func (a *naiveAccount) available() events.Credits {
	return max(0, a.drawableSum()-a.held())
}

func (a *naiveAccount) drawableSum() events.Credits {
	return a.sum(func(g *naiveGrant) events.Credits {
		if !g.active {
			return 0
		}
		return g.left()
	})
}

func (a *naiveAccount) overage() events.Credits {
	owed := -a.sum(func(g *naiveGrant) events.Credits { return g.drawn })
	for _, c := range a.charges {
		owed += c
	}
	for _, f := range a.forgiven {
		owed -= f
	}
	return owed
}

func (a *naiveAccount) balance() events.Balance {
	b := events.Balance{
		Account: a.id, Available: a.available(), Held: a.held(), Overage: a.overage(),
		Granted:   a.sum(func(g *naiveGrant) events.Credits { return g.granted }),
		Remaining: a.sum((*naiveGrant).left),
		Drawn:     a.sum(func(g *naiveGrant) events.Credits { return g.drawn }),
		Expired:   a.sum(func(g *naiveGrant) events.Credits { return g.expired }),
		Voided:    a.sum(func(g *naiveGrant) events.Credits { return g.voided }),
		Sequence:  a.point.Sequence, Index: a.point.Index, At: a.point.Time,
	}
	for _, c := range a.charges {
		b.Charged += c
	}
	for _, f := range a.forgiven {
		b.Forgiven += f
	}
	if a.settings != nil {
		b.Plan = a.settings.Plan
	}
	if a.period != nil {
		period := *a.period
		b.Period = &period
	}
	if a.waiting != nil {
		b.Next = &events.NextPlan{Plan: a.waiting.Plan, At: a.period.End}
	}
	open := a.drawable()
	var pending []*naiveGrant
	for _, g := range a.grants {
		if !g.active {
			pending = append(pending, g)
		}
	}
	slices.SortStableFunc(pending, func(g, h *naiveGrant) int { return g.EffectiveAt.Compare(h.EffectiveAt) })
	for _, g := range slices.Concat(open, a.resting(), pending) {
		listed := g.GrantBalance
		listed.Remaining = g.left()
		b.Grants = append(b.Grants, listed)
	}
	if more := len(b.Grants) - events.BalanceGrantsMax; more > 0 {
		b.Grants, b.MoreGrants = b.Grants[:events.BalanceGrantsMax], more
	}
	b.Holds, b.MoreHolds = a.openHolds()
	b.Budgets = a.listBudgets()
	b.TopUp = a.topUpBalance()
	b.Levels = slices.Clone(a.levels)
	for i := range b.Levels {
		b.Levels[i].At = a.levelAt(b.Levels[i].Threshold)
	}
	slices.SortStableFunc(b.Levels[:len(b.Levels)-len(naiveStops(a.terms))], func(l, m events.Level) int { return cmp.Compare(m.At, l.At) })
	return b
}
