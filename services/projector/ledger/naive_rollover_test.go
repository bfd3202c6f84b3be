package ledger_test

import (
	"fmt"
	"math/big"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// ofPeriod lists the grants of the running or last period, older first.
func (a *naiveAccount) ofPeriod() (grants []*naiveGrant) {
	for _, g := range []*naiveGrant{a.carried, a.planGrant} {
		if g != nil {
			grants = append(grants, g)
		}
	}
	return grants
}

// expireOfPeriod ends a period that is followed by none.
func (a *naiveAccount) expireOfPeriod(cause events.Cause) {
	for _, g := range a.ofPeriod() {
		if g.left() > 0 {
			g.expired += g.left()
			a.evaluate(cause)
		}
	}
	a.carry = nil
}

// planAmount is what the plan's grant of a period that starts now amounts to.
func (a *naiveAccount) planAmount() events.Credits {
	if a.terms.Grant == nil {
		return 0
	}
	amount := new(big.Rat).SetInt64(int64(a.terms.Grant.Amount))
	if a.share != nil {
		amount.Mul(amount, a.share)
	}
	return events.Credits(new(big.Int).Quo(amount.Num(), amount.Denom()).Int64())
}

// naiveShare is how much of the period around now lies ahead; nil for all.
func naiveShare(period string, anchor, now time.Time) *big.Rat {
	if period == "" || anchor.After(now) {
		return nil
	}
	i := 0
	for !naiveBoundary(anchor, period, i+1).After(now) {
		i++
	}
	start, end := naiveBoundary(anchor, period, i), naiveBoundary(anchor, period, i+1)
	return big.NewRat(int64(end.Sub(now)), int64(end.Sub(start)))
}

// rollOver carries what is left of the last period into the grant that id names
// with :rollover.
func (a *naiveAccount) rollOver(id string, cause events.Cause) {
	rule := a.carry
	a.carry = nil
	if a.terms.Grant != nil {
		a.carry = a.terms.Grant.Rollover
	}
	var left events.Credits
	for _, g := range a.ofPeriod() {
		left += g.left()
	}
	if a.carried != nil {
		a.carried.forgotten = true
	}
	old := a.ofPeriod()
	a.carried = nil
	if rule == nil {
		return
	}
	carried := left
	if carried < rule.Min {
		carried = rule.Min
	}
	if carried > rule.Max {
		carried = rule.Max
	}
	lost := max(0, left-carried)
	for _, g := range old { // whichever loses it, the sums are the same
		part := min(lost, g.left())
		g.expired += part
		lost -= part
		g.movedOut += g.left()
	}
	if carried == 0 {
		return
	}
	a.carried = &naiveGrant{GrantBalance: events.GrantBalance{
		ID: id + ":rollover", Amount: carried, Priority: planPriority(a.terms),
		EffectiveAt: a.period.Start, ExpiresAt: a.period.End, Source: events.SourcePlan,
	}, granted: max(0, carried-left), movedIn: min(left, carried)}
	a.grants = append(a.grants, a.carried)
	a.activate(a.carried, a.period.Start)
	a.evaluate(cause)
}

func planPriority(t events.Terms) uint8 {
	if t.Grant == nil || t.Grant.Priority == nil {
		return 100
	}
	return *t.Grant.Priority
}

func carryOf(g *events.PlanGrant) string {
	if g.Rollover == nil {
		return "nothing"
	}
	return fmt.Sprint(*g.Rollover)
}
