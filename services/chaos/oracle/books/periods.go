package books

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// period is where an account stands among its periods: one runs, or the next
// one starts at starts.
type period struct {
	running    bool
	start, end int64
	starts     int64
	floor      int64 // none starts before
	nth        int   // of those that began at start
	granted    int64 // of what took effect in it
	outlived   int64 // its start, of what was there before
	grant      *Grant
	rolled     *Grant
	rollover   *Rollover // of what is left at its end
}

func merge(own, plan Terms) Terms {
	merged := Terms{
		Period: cmp.Or(own.Period, plan.Period), Grant: cmp.Or(own.Grant, plan.Grant),
		Overage: cmp.Or(own.Overage, plan.Overage), OverageLimit: cmp.Or(own.OverageLimit, plan.OverageLimit),
		PreserveOverage: cmp.Or(own.PreserveOverage, plan.PreserveOverage), HardStopAt: cmp.Or(own.HardStopAt, plan.HardStopAt),
		CaptureMore: cmp.Or(own.CaptureMore, plan.CaptureMore), TopUp: cmp.Or(own.TopUp, plan.TopUp), Thresholds: own.Thresholds, Budgets: own.Budgets,
	}
	if len(merged.Thresholds) == 0 {
		merged.Thresholds = plan.Thresholds
	}
	if len(merged.Budgets) == 0 {
		merged.Budgets = plan.Budgets
	}
	return merged
}

// set decides new settings.
func (a *Account) set(s Settings) Decision {
	s.ID = cmp.Or(s.ID, a.Name)
	change := s.Change
	s.Change = ""
	switch {
	case !s.StartedAt.IsZero():
		s.StartedAt = s.StartedAt.Truncate(time.Microsecond)
	case a.settings != nil:
		s.StartedAt = a.settings.StartedAt
	default:
		s.StartedAt = instant(a.now)
	}
	versions := len(a.books.plans[s.Plan])
	switch {
	case s.Plan != "" && versions == 0:
		return refused("not_found")
	case len(slices.Compact(slices.Sorted(slices.Values(s.Thresholds)))) < len(s.Thresholds):
		return refused("invalid")
	}
	asItIs, waited := a.settings != nil && same(*a.settings, s), a.waiting
	a.waiting = nil
	if running := a.period != nil && a.period.running; change == "period_end" && running {
		switch {
		case asItIs && waited == nil, waited != nil && same(*waited, s):
			if !asItIs {
				a.waiting = &s
			}
			return unchanged
		case !asItIs:
			a.waiting = &s
		}
		return applied
	}
	if asItIs && waited == nil {
		return unchanged
	}
	a.prorated = change == "now_prorated"
	a.settle(s, versions)
	return applied
}

// settle puts settings into effect. The running period is closed if they have
// other periods or another grant in them.
func (a *Account) settle(s Settings, version int) {
	terms := a.termsOf(s, version)
	stays := a.settings != nil && a.settings.Plan == s.Plan && a.settings.StartedAt.Equal(s.StartedAt) && samePeriods(a.terms, terms)
	if p := a.period; !stays && p != nil && p.running {
		a.expireOfPeriod()
		a.leavePeriod(a.now)
	}
	a.settings = &s
	a.adopt(terms)
	if !stays {
		a.restart(a.now)
		a.pass()
	}
}

// termsOf merges the terms of settings with those of a version of their plan, 1,
// 2, 3 …, which is taken over by that; 0 is that of no plan.
func (a *Account) termsOf(s Settings, version int) Terms {
	if a.taken = version; version == 0 {
		return s.Terms
	}
	return merge(s.Terms, a.books.plans[s.Plan][version-1].Terms)
}

func samePeriods(a, b Terms) bool {
	grant := func(t Terms) PlanGrant {
		if t.Grant == nil || t.Period == "" {
			return PlanGrant{}
		}
		g := *t.Grant
		g.Priority = new(priority(g.Priority))
		return g
	}
	return a.Period == b.Period && same(grant(a), grant(b))
}

// catchUp lets time pass until now. What changed of the account's plan since its
// last time does so at its time: what was due before happens before.
func (a *Account) catchUp(from int64) {
	now := a.now
	for {
		stop := a.nextVersion(from, now)
		if stop > now {
			break
		}
		a.now = stop
		a.pass()
		for i, v := range a.books.plans[a.settings.Plan] {
			if i == a.taken && (v.since <= stop || stop == now) {
				a.refresh()
			}
		}
	}
	a.now = now
	a.pass()
}

// nextVersion is when the plan of the account, or the one that waits, next
// changes it by now.
func (a *Account) nextVersion(from, now int64) int64 {
	if a.settings == nil {
		return never
	}
	stop := never
	if all := a.books.plans[a.settings.Plan]; a.taken < len(all) {
		stop = min(now, max(from, all[a.taken].since))
	}
	if a.waiting != nil {
		for _, v := range a.books.plans[a.waiting.Plan] {
			if v.since > a.period.end {
				stop = min(stop, v.since)
			}
		}
	}
	return stop
}

// refresh takes over the next version of the account's plan.
func (a *Account) refresh() {
	had := a.terms.Period != ""
	a.adopt(a.termsOf(*a.settings, a.taken+1))
	if idle := a.period == nil || !a.period.running; idle && had != (a.terms.Period != "") {
		a.restart(a.now)
	}
	a.next = ever
}

// restart plans the next period, as none runs.
func (a *Account) restart(at int64) {
	if a.period == nil && a.terms.Period != "" {
		a.period = &period{floor: ever, start: ever}
	}
	if a.period == nil {
		return
	}
	if a.period.starts = never; a.terms.Period != "" {
		a.period.starts = max(at, micros(a.settings.StartedAt))
	}
}

// endPeriod ends a period that ran its length.
func (a *Account) endPeriod(at int64) {
	if preserve := a.terms.PreserveOverage; a.overage > 0 && (preserve == nil || !*preserve) {
		a.forgive()
		a.evaluate()
	}
	a.leavePeriod(at)
	if a.waiting != nil {
		s := *a.waiting
		a.waiting = nil
		terms := a.termsOf(s, a.books.versionAt(s.Plan, at))
		a.settings = &s
		a.adopt(terms)
		a.restart(at)
		a.evaluate()
	}
	if a.period.starts > at {
		a.expireOfPeriod()
		return
	}
	a.follows = true
}

func (a *Account) leavePeriod(at int64) {
	p := a.period
	p.running, p.floor, p.starts = false, at, never
	if a.terms.Period != "" {
		p.starts = at
	}
	a.rebase()
}

// ofPeriod are the open grants of a period: what was carried into it, and the
// plan's.
func (a *Account) ofPeriod() (open []*Grant) {
	for _, g := range []*Grant{a.period.rolled, a.period.grant} {
		if g != nil && g.State == "active" {
			open = append(open, g)
		}
	}
	return open
}

// expireOfPeriod ends the grants of a period of which nothing is carried on.
func (a *Account) expireOfPeriod() {
	a.period.rollover = nil
	for _, g := range a.ofPeriod() {
		a.expire(g)
	}
}

// startPeriod starts the period that contains now; those that passed unnoticed
// are skipped.
func (a *Account) startPeriod(at int64) {
	p := a.period
	start, end := window(a.terms.Period, micros(a.settings.StartedAt), a.now)
	if start = max(start, p.floor); start > at {
		p.starts = start
		return
	}
	if p.nth++; start > p.start {
		p.nth = 1
	}
	p.running, p.start, p.end, p.granted, p.outlived = true, start, end, 0, a.drawable()
	a.rebase()
	for _, b := range a.budgets {
		if b.Per == perPeriod {
			a.startOver(b)
		}
	}
	a.carry()
	if a.follows {
		a.follows = false
		a.rollOver()
	}
	a.issuePlanGrant()
	a.evaluate()
}

// carry moves what is left of the period before into a grant of this one.
func (a *Account) carry() {
	p, rule, left := a.period, a.period.rollover, int64(0)
	for _, g := range a.ofPeriod() {
		left += g.remaining
		p.outlived -= g.remaining
		a.leave(g, "expired")
	}
	a.forget(&p.rolled)
	if p.rollover = nil; a.terms.Grant != nil {
		p.rollover = a.terms.Grant.Rollover
	}
	kept := rule.kept(left)
	if kept == 0 {
		return
	}
	a.granted += max(0, kept-left)
	a.expired += max(0, left-kept)
	g := a.planGrant(kept, ":rollover")
	a.take(g)
	p.rolled = g
	a.evaluate()
}

// issuePlanGrant issues the plan's grant, or its share of what is left of the
// period.
func (a *Account) issuePlanGrant() {
	p := a.period
	a.forget(&p.grant)
	if a.terms.Grant == nil {
		return
	}
	amount := int64(a.terms.Grant.Amount)
	if a.prorated {
		start, end := window(a.terms.Period, micros(a.settings.StartedAt), a.now)
		share := new(big.Int).Mul(big.NewInt(amount), big.NewInt(end-a.now))
		amount = share.Div(share, big.NewInt(end-start)).Int64()
	}
	if amount > 0 {
		p.grant = a.planGrant(amount, "")
		a.issue(p.grant)
	}
}

// planGrant is a grant that lives as long as the running period.
func (a *Account) planGrant(amount int64, suffix string) *Grant {
	p := a.period
	id := fmt.Sprintf("plan:%s:%s", a.settings.Plan, instant(p.start).Format(time.RFC3339Nano))
	if p.nth > 1 {
		id += fmt.Sprintf(":%d", p.nth)
	}
	g := &Grant{ID: id + suffix, amount: amount, priority: defaultPriority, begins: p.start, ends: p.end, ofPlan: true}
	if rule := a.terms.Grant; rule != nil {
		g.priority, g.carried = priority(rule.Priority), rule.Rollover != nil
	}
	return g
}

// forget drops a grant of a period that is over: nobody can name it any more.
func (a *Account) forget(g **Grant) {
	if *g != nil {
		delete(a.known, (*g).ID)
		*g = nil
	}
}
