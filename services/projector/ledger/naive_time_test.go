package ledger_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// pass does what is due one by one: always the earliest, at one instant in the
// documented order.
func (n *naive) pass(a *naiveAccount, cause events.Cause) {
	for {
		type due struct {
			at   time.Time
			rank int
			do   func(at time.Time)
		}
		var all []due
		for _, g := range a.grants {
			switch {
			case g.isOpen() && !g.ExpiresAt.IsZero() && (a.carry == nil || g != a.planGrant && g != a.carried):
				all = append(all, due{g.ExpiresAt, 0, func(time.Time) { g.hasExpired = true; g.expired += g.left(); a.evaluate(cause) }})
			case !g.active:
				all = append(all, due{g.EffectiveAt, 4, func(at time.Time) { a.activate(g, at); a.evaluate(cause) }})
			}
			if g.isOpen() && !g.RecursAt.IsZero() {
				all = append(all, due{g.RecursAt, 2, func(at time.Time) { a.recur(g, at, cause) }})
			}
		}
		for _, h := range a.holds {
			if h.State == events.HoldOpen {
				all = append(all, due{h.ExpiresAt, -1, func(time.Time) { h.State = events.HoldExpired; a.evaluate(cause) }})
			}
		}
		if a.period != nil {
			all = append(all, due{a.period.End, 1, func(at time.Time) { n.endPeriod(a, at, cause) }})
		} else if !a.starts.IsZero() {
			all = append(all, due{a.starts, 3, func(at time.Time) { a.startPeriod(at, cause) }})
		}
		all = slices.DeleteFunc(all, func(d due) bool { return d.at.After(a.now) })
		if len(all) == 0 {
			a.renew(false, cause)
			a.timeOutTopUp()
			return
		}
		first := slices.MinFunc(all, func(d, e due) int { return cmp.Or(d.at.Compare(e.at), cmp.Compare(d.rank, e.rank)) })
		first.do(first.at)
	}
}

func (n *naive) endPeriod(a *naiveAccount, at time.Time, cause events.Cause) {
	if a.overage() > 0 && (a.terms.PreserveOverage == nil || !*a.terms.PreserveOverage) {
		a.forgive()
		a.evaluate(cause)
	}
	a.period, a.lastEnd, a.starts = nil, at, time.Time{}
	if a.waiting != nil {
		a.settings, a.waiting = a.waiting, nil
		a.taken = n.versionAt(a.settings.Plan, at)
		a.retake(n.effective(*a.settings, a.taken))
		a.retakeBudgets(cause)
		a.evaluate(cause)
	}
	if a.terms.Period != "" {
		a.starts = latest(at, a.settings.StartedAt)
	}
	if a.starts.IsZero() || a.starts.After(at) {
		a.expireOfPeriod(cause)
	} else {
		a.follows = true
	}
}

func (a *naiveAccount) startPeriod(at time.Time, cause events.Cause) {
	i := 0
	for !naiveBoundary(a.settings.StartedAt, a.terms.Period, i+1).After(a.now) {
		i++
	}
	start := latest(naiveBoundary(a.settings.StartedAt, a.terms.Period, i), a.lastEnd)
	if start.After(at) {
		a.starts = start
		return
	}
	a.sameStart++
	if start.After(a.lastStart) {
		a.sameStart = 1
	}
	a.lastStart = start
	a.period = &events.Period{Start: start, End: naiveBoundary(a.settings.StartedAt, a.terms.Period, i+1)}
	a.starting()
	a.renew(true, cause)
	id := fmt.Sprintf("plan:%s:%s", a.settings.Plan, start.Format(time.RFC3339Nano))
	if a.sameStart > 1 {
		id += fmt.Sprintf(":%d", a.sameStart)
	}
	a.rollOver(id, cause)
	if a.follows {
		a.rollOthers(cause)
	}
	a.follows = false
	a.started()
	if a.planGrant != nil {
		a.planGrant.forgotten, a.planGrant = true, nil
	}
	if amount := a.planAmount(); amount > 0 {
		a.planGrant = &naiveGrant{GrantBalance: events.GrantBalance{
			ID: id, Amount: amount, Priority: planPriority(a.terms),
			EffectiveAt: start, ExpiresAt: a.period.End, Source: events.SourcePlan,
		}, granted: amount}
		a.began = true
		a.grants = append(a.grants, a.planGrant)
		a.activate(a.planGrant, start)
	}
	a.evaluate(cause)
}

// naiveBoundary is the start of period i, counted from anchor.
func naiveBoundary(anchor time.Time, period string, i int) time.Time {
	months := 0
	switch period {
	case "day":
		return anchor.AddDate(0, 0, i)
	case "week":
		return anchor.AddDate(0, 0, 7*i)
	case "month":
		months = i
	case "year":
		months = 12 * i
	case "P2M":
		months = 2 * i
	case "P3D":
		return anchor.AddDate(0, 0, 3*i)
	default:
		length, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(period, "PT")))
		if err != nil {
			panic(err)
		}
		return anchor.Add(time.Duration(i) * length)
	}
	wanted := (int(anchor.Month()) - 1 + months) % 12
	for back := 0; ; back++ { // until the day exists in the month
		at := time.Date(anchor.Year(), anchor.Month()+time.Month(months), anchor.Day()-back,
			anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
		if int(at.Month())-1 == wanted {
			return at
		}
	}
}
