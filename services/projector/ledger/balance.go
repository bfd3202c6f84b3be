package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// balance returns the account for readers, sharing nothing with it.
func (a *account) balance() events.Balance {
	b := events.Balance{
		Account:   a.id,
		Available: a.available(),
		Held:      a.held(),
		Overage:   a.overage,
		Granted:   a.granted,
		Remaining: a.remaining(),
		Drawn:     a.drawn,
		Expired:   a.expired,
		Voided:    a.voided,
		Charged:   a.charged,
		Forgiven:  a.forgiven,
		Levels:    a.balanceLevels(),
		Sequence:  a.clock.sequence,
		Index:     a.clock.index,
		At:        a.at.time(),
	}
	if a.settings != nil {
		b.Plan = a.settings.content.Plan
	}
	if c := a.cycle; c != nil && c.running {
		b.Period = &events.Period{Start: c.start.time(), End: c.end.time(), Granted: c.granted}
	}
	if a.waiting != nil {
		b.Next = &events.NextPlan{Plan: a.waiting.Plan, At: a.cycle.end.time()}
	}
	b.Grants = a.openGrants()
	b.MoreGrants = a.open() - len(b.Grants)
	b.Holds, b.MoreHolds = a.holds.list()
	b.Budgets, b.MoreBudgets = a.balanceBudgets()
	b.TopUp = a.balanceTopUp()
	return b
}

// open is how many grants are open.
func (a *account) open() int { return len(a.active) + len(a.renewing.asleep()) + len(a.pending) }

// openGrants returns the first open grants: the active ones in draw order, then
// those that are spent until they are renewed, then the pending ones in the
// order they take effect.
func (a *account) openGrants() []events.GrantBalance {
	count := min(a.open(), events.BalanceGrantsMax)
	if count == 0 {
		return nil
	}
	grants := make([]events.GrantBalance, 0, count)
	add := func(g *grant) bool {
		if len(grants) == count {
			return false
		}
		grants = append(grants, events.GrantBalance{
			ID: g.id, Amount: g.amount, Remaining: g.remaining, Priority: g.priority,
			EffectiveAt: g.effective.time(), ExpiresAt: g.expires.time(), RecursAt: g.recursAt().time(), Source: g.source,
		})
		return true
	}
	a.active.inOrder()(add)
	a.renewing.asleep().inOrder()(add)
	a.pending.inOrder()(add)
	return grants
}
