package policy

import (
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// budgets returns the signals to publish of the budgets of b: those that were
// told as exceeded and are not any more, and those that are and were not told.
// Each signal of a budget says which are exceeded once it is told, so that the
// last one is all there is to know.
func (p Published) budgets(b events.Balance) []events.Signal {
	var signals []events.Signal
	for _, name := range p.exceeded {
		i := slices.IndexFunc(b.Budgets, func(u events.BudgetBalance) bool { return u.Name() == name })
		exceeded := slices.IndexFunc(b.Budgets, func(u events.BudgetBalance) bool { return u.Name() == name && u.Exceeded })
		if exceeded >= 0 {
			continue
		}
		u := budgetNamed(name)
		if i >= 0 {
			u = b.Budgets[i]
		}
		signals = append(signals, budgetSignal(events.SignalBudgetRestored, b, u, p.causeOf(u, b)))
	}
	told := slices.Clone(p.exceeded)
	for _, u := range b.Budgets {
		if u.Exceeded && u.Since != nil && !slices.Contains(told, u.Name()) {
			told = append(told, u.Name())
			signals = append(signals, budgetSignal(events.SignalBudgetExceeded, b, u, p.causeOf(u, b)))
		}
	}
	return signals
}

// causeOf is the entry that u is told because of: the one that changed it, or
// the account's last where that is not known, or lies before what was told. The
// latter happens when a balance has too many that are exceeded to list them all.
func (p Published) causeOf(u events.BudgetBalance, b events.Balance) events.Cause {
	c := restoredBy(events.Level{Since: u.Since}, b)
	if reusedOrAfter(c, p.mark.cause) || comparePlace(c, p.mark.cause) == 0 {
		return c
	}
	return restoredBy(events.Level{}, b)
}

// budgetNamed is a budget that a balance no longer lists.
func budgetNamed(name string) events.BudgetBalance {
	scope, per := events.SplitBudgetName(name)
	return events.BudgetBalance{Scope: scope, Per: per}
}

func budgetSignal(kind events.SignalKind, b events.Balance, u events.BudgetBalance, c events.Cause) events.Signal {
	s := signal(kind, b, events.Level{Threshold: u.Limit.String()}, c)
	s.Scope, s.Per = u.Scope, u.Per
	return s
}

// afterBudget returns which budgets were told as exceeded once s was, sorted.
func afterBudget(exceeded []string, s events.Signal) []string {
	name := events.BudgetBalance{Scope: s.Scope, Per: s.Per}.Name()
	at, found := slices.BinarySearch(exceeded, name)
	switch {
	case s.Kind == events.SignalBudgetExceeded && !found:
		return slices.Insert(slices.Clone(exceeded), at, name)
	case s.Kind == events.SignalBudgetRestored && found:
		return slices.Delete(slices.Clone(exceeded), at, at+1)
	}
	return exceeded
}

// number gives signals their sequences, and to those of budgets what is exceeded
// once they are told.
func (p Published) number(signals []events.Signal) {
	exceeded := p.exceeded
	for i := range signals {
		s := &signals[i]
		s.Sequence = p.sequence + 1 + uint64(i)
		if s.Kind == events.SignalBudgetExceeded || s.Kind == events.SignalBudgetRestored {
			exceeded = afterBudget(exceeded, *s)
			s.Exceeded = exceeded
		}
	}
}
