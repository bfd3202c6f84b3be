package ledger_test

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// resting lists the grants that are spent until they are renewed.
func (a *naiveAccount) resting() (grants []*naiveGrant) {
	for _, g := range a.grants {
		if g.isOpen() && g.left() == 0 {
			grants = append(grants, g)
		}
	}
	return grants
}

// recurBehind sets when g recurs next behind an instant.
func (g *naiveGrant) recurBehind(at time.Time) {
	g.RecursAt = time.Time{}
	if g.content.Recurrence == "" {
		return
	}
	i := 0
	for !naiveBoundary(g.EffectiveAt, g.content.Recurrence, i).After(at) {
		i++
	}
	if next := naiveBoundary(g.EffectiveAt, g.content.Recurrence, i); g.ExpiresAt.IsZero() || next.Before(g.ExpiresAt) {
		g.RecursAt = next
	}
}

// recur grants the amount again, at the last recurrence that is not after now.
func (a *naiveAccount) recur(g *naiveGrant, at time.Time, cause events.Cause) {
	last := at
	for !g.RecursAt.IsZero() && !g.RecursAt.After(a.now) {
		last = g.RecursAt
		g.recurBehind(last)
	}
	if last.After(at) {
		g.RecursAt = last
		return
	}
	kept := a.keep(g)
	g.turn++
	g.granted += g.content.Amount
	g.Amount = kept + g.content.Amount
	a.renewed(g.content.Amount, cause)
}

// rollOthers rolls over the grants that commands issued.
func (a *naiveAccount) rollOthers(cause events.Cause) {
	for _, g := range a.grants {
		before := g.left()
		if g.isOpen() && g.content.Recurrence == "" && g.content.Rollover != nil && a.keep(g) != before {
			g.turn++
			a.renewed(0, cause)
		}
	}
}

// keep leaves of g what its rollover keeps.
func (a *naiveAccount) keep(g *naiveGrant) events.Credits {
	left, kept := g.left(), events.Credits(0)
	if r := g.content.Rollover; r != nil {
		kept = min(max(left, r.Min), r.Max)
	}
	if kept < left {
		g.expired += left - kept
	} else {
		g.granted += kept - left
		a.grew(kept - left)
	}
	return kept
}

// grew counts what was granted in the running period.
func (a *naiveAccount) grew(granted events.Credits) {
	if a.period != nil {
		a.period.Granted += granted
	}
}

func (a *naiveAccount) renewed(granted events.Credits, cause events.Cause) {
	a.grew(granted)
	a.repay()
	a.topped = a.drawableSum()
	a.evaluate(cause)
}
