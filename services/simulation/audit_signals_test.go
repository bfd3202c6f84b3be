package simulation

import (
	"fmt"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// told is what an account was told so far.
type told struct {
	published policy.Published
	count     uint64
	last      events.Signal
	stopped   bool // the last of exhausted and restored was exhausted
	exceeded  []string
	said      map[string]bool
}

// auditSignals checks that each account was told of what happened to it, once,
// in order, and of nothing else, and that nothing is owed to it now.
func (w *world) auditSignals(f folded) string {
	accounts := map[string]*told{}
	for _, m := range w.server.Messages(events.StreamSignals) {
		s, err := events.DecodeSignal(m.Data)
		if err != nil {
			return fmt.Sprintf("signal %d: %v", m.Sequence, err)
		}
		a, ok := accounts[s.Account]
		if !ok {
			a = &told{said: map[string]bool{}}
			accounts[s.Account] = a
		}
		if wrong := a.hear(s, f); wrong != "" {
			return fmt.Sprintf("signal %d, %s of %s at %d.%d: %s", m.Sequence, s.Kind, s.Account, s.Cause.Sequence, s.Cause.Index, wrong)
		}
	}
	for p := range partitions {
		state := f.states[p]
		for name := range state.Accounts() {
			b, _ := state.Balance(name)
			a, ok := accounts[name]
			if !ok {
				a = &told{}
			}
			if wrong := a.owed(b); wrong != "" {
				return fmt.Sprintf("%s %s", name, wrong)
			}
		}
	}
	return ""
}

// hear notes a signal and says what is wrong with it.
func (a *told) hear(s events.Signal, f folded) string {
	a.count++
	name := crossing(s.Account, s.Kind, s.Threshold, s.Cause)
	budget := s.Kind == events.SignalBudgetExceeded || s.Kind == events.SignalBudgetRestored
	if budget {
		name = crossing(s.Account, s.Kind, s.Scope+" per "+s.Per, s.Cause)
	}
	before := place{a.last.Cause.Sequence, a.last.Cause.Index}
	switch {
	case s.Sequence != a.count:
		return fmt.Sprintf("it is number %d; expected %d", s.Sequence, a.count)
	case a.said[name]:
		return "it was said before"
	case (place{s.Cause.Sequence, s.Cause.Index}).before(before):
		return fmt.Sprintf("it comes behind one at %v", before)
	case s.Kind == events.SignalExhausted && a.stopped, s.Kind == events.SignalRestored && !a.stopped:
		return "it was so already"
	case budget:
		if wrong := a.hearBudget(s, f.exceeded[place{s.Cause.Sequence, s.Cause.Index}]); wrong != "" {
			return wrong
		}
	case !f.crossed[name]:
		return "nothing of the kind happened"
	}
	a.said[name], a.last, a.published = true, s, a.published.After(s)
	if s.Kind == events.SignalExhausted || s.Kind == events.SignalRestored {
		a.stopped = s.Kind == events.SignalExhausted
	}
	return ""
}

// hearBudget notes that a budget is exceeded, or not any more, and says what is
// wrong with that, where the cause left so many exceeded.
func (a *told) hearBudget(s events.Signal, then []string) string {
	name := s.Scope + " per " + s.Per
	exceeded := s.Kind == events.SignalBudgetExceeded
	switch {
	case exceeded == slices.Contains(a.exceeded, name):
		return "it was so already"
	case exceeded != slices.Contains(then, name):
		return fmt.Sprintf("the cause left %v", then)
	}
	if a.exceeded = slices.DeleteFunc(slices.Clone(a.exceeded), func(other string) bool { return other == name }); exceeded {
		a.exceeded = append(a.exceeded, name)
	}
	slices.Sort(a.exceeded)
	if !slices.Equal(a.exceeded, s.Exceeded) {
		return fmt.Sprintf("it says that %v are exceeded; expected %v", s.Exceeded, a.exceeded)
	}
	return ""
}

// owed says what the account is not told of its balance.
func (a *told) owed(b events.Balance) string {
	for _, l := range b.Levels {
		if l.Kind == events.SignalExhausted && l.Since != nil && l.Reached != a.stopped {
			return fmt.Sprintf("is exhausted: %v; it was told: %v", l.Reached, a.stopped)
		}
	}
	if now := exceededOf(b); !slices.Equal(now, a.exceeded) {
		return fmt.Sprintf("exceeds %v; it was told of %v", now, a.exceeded)
	}
	if owes := policy.React(a.published, b); len(owes) > 0 {
		return fmt.Sprintf("is owed %d signals, the first %s at %d.%d", len(owes), owes[0].Kind, owes[0].Cause.Sequence, owes[0].Cause.Index)
	}
	return ""
}

// crossing names one crossing of a level.
func crossing(account string, kind events.SignalKind, threshold string, c events.Cause) string {
	return fmt.Sprintf("%s %s %s %d.%d", account, kind, threshold, c.Sequence, c.Index)
}

// exceededOf are the names of the budgets that a balance says are exceeded.
func exceededOf(b events.Balance) (names []string) {
	for _, u := range b.Budgets {
		if u.Exceeded {
			names = append(names, u.Scope+" per "+u.Per)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// cross notes the crossings that a balance tells of.
func (f folded) cross(b events.Balance) {
	f.exceeded[place{b.Sequence, b.Index}] = exceededOf(b)
	if t := b.TopUp; t != nil && t.State == events.TopUpPending {
		f.crossed[crossing(b.Account, events.SignalTopUpRequested, t.Request.Below.String(), *t.Since)] = true
	}
	for _, l := range b.Levels {
		kind, cause := l.Kind, events.Cause{Sequence: b.Sequence, Index: b.Index}
		if l.Since != nil {
			cause = *l.Since
		}
		// Changed terms can restore without a crossing.
		if kind == events.SignalExhausted && !l.Reached || l.Since == nil {
			kind = events.SignalRestored
		}
		f.crossed[crossing(b.Account, kind, l.Threshold, cause)] = true
	}
}
