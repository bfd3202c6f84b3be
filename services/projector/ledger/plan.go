package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// plan is a plan as it stands, and as it stood before: an account that has not
// been looked at since takes every change over at its time. It holds the last
// versions, at most planVersionsMax and at least one, oldest first.
type plan struct{ versions []*planVersion }

// planVersion is what a plan said from an instant on.
type planVersion struct {
	number  uint64 // 1, 2, 3 … of the plan
	since   micros
	content events.Plan
	terms   *terms
}

// planVersionsMax bounds what is remembered of a plan. An account that misses
// more changes before its next entry, which a tick soon is, misses the oldest.
const planVersionsMax = 16

// last is the plan as it stands.
func (p *plan) last() *planVersion { return p.versions[len(p.versions)-1] }

// change adds a version of p.
func (p *plan) change(content events.Plan, now micros) {
	v := &planVersion{number: 1, since: now, content: content, terms: compile(content.Terms)}
	if len(p.versions) > 0 {
		v.number = p.last().number + 1
	}
	p.versions = append(p.versions, v)
	p.versions = p.versions[max(0, len(p.versions)-planVersionsMax):]
}

// behind returns the first version behind that of a number; nil for none.
func (p *plan) behind(number uint64) *planVersion {
	if p != nil {
		for _, v := range p.versions {
			if v.number > number {
				return v
			}
		}
	}
	return nil
}

// at returns the version in force at an instant, or the oldest known; nil
// without a plan.
func (p *plan) at(instant micros) (v *planVersion) {
	if p != nil {
		for _, next := range p.versions {
			if v == nil || next.since <= instant {
				v = next
			}
		}
	}
	return v
}

// changed is when p first changed behind an instant.
func (p *plan) changed(behind micros) micros {
	if p != nil {
		for _, v := range p.versions {
			if v.since > behind {
				return v.since
			}
		}
	}
	return never
}

// take takes over a version of the plan, nil without a plan, and returns what s
// amounts to with it. Accounts that say nothing of their own share the plan's.
func (s *settings) take(v *planVersion) *terms {
	if v == nil {
		return compile(s.content.Terms)
	}
	s.taken = v.number
	if none(&s.content.Terms) {
		return v.terms
	}
	return compile(merge(s.content.Terms, v.content.Terms))
}

// catchUp lets time pass until now, from an account's last time on. What changed
// of its plan meanwhile changes it at its time, so that what was due before is
// done by the terms before.
func (x *step) catchUp(from micros) {
	now := x.now
	for {
		at, ok := x.nextTerms(from, now)
		if !ok {
			break
		}
		x.now = at
		x.pass()
		x.refresh(now)
	}
	x.now = now
	x.pass()
}

// nextTerms returns when, by now, the terms of the account next change with its
// plan, or with the one that it is on by then.
func (x *step) nextTerms(from, now micros) (at micros, ok bool) {
	a := x.account
	if a.settings == nil {
		return never, false
	}
	at = never
	if v := a.settings.plan.behind(a.settings.taken); v != nil {
		at = min(max(from, v.since), now) // its entry stands before this one
	}
	if a.waiting != nil {
		at = min(at, x.state.plans[a.waiting.Plan].changed(a.cycle.end))
	}
	return at, at <= now
}

// refresh takes over what changed of the account's plan until the step's time,
// which is at most now. A running period goes on to its end.
func (x *step) refresh(now micros) {
	a := x.account
	for {
		v := a.settings.plan.behind(a.settings.taken)
		if v == nil || v.since > x.now && x.now < now {
			return
		}
		had := a.terms.period.some()
		a.adopt(a.settings.take(v))
		x.adoptBudgets()
		if idle := a.cycle == nil || !a.cycle.running; idle && had != a.terms.period.some() {
			a.restart(x.now)
		}
	}
}
