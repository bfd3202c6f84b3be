package books

import "strings"

// perPeriod is a budget that begins anew with each period of its account.
const perPeriod = "period"

// budget is one budget of an account in the window that runs.
type budget struct {
	Budget
	start, end int64
	from       Place // of the entry that opened the window: those before do not count
	values     map[string]*spent
}

// spent is what one value has spent. What it holds follows from the open holds.
type spent struct {
	amount   int64
	exceeded bool
	since    Place // of exceeded; not known any more a window after it was restored
}

// value is the value of work that a budget counts, empty for none.
func (b Budget) value(w Work) string {
	name, wanted, _ := strings.Cut(b.Scope, ":")
	value := w.Attributes[name]
	switch name {
	case "project":
		value = w.Project
	case "key":
		value = w.Key
	}
	if wanted != "*" && wanted != value {
		return ""
	}
	return value
}

// held is what open holds reserve of a value.
func (a *Account) heldOf(b *budget, value string) (sum int64) {
	for _, h := range a.open {
		if b.value(h.content.Work) == value {
			sum += h.amount
		}
	}
	return sum
}

// haveRoom reports whether every budget has room for a hold.
func (a *Account) haveRoom(w Work, amount int64) bool {
	for _, b := range a.budgets {
		value := b.value(w)
		if value == "" {
			continue
		}
		used := a.heldOf(b, value)
		if s := b.values[value]; s != nil {
			used += s.amount
		}
		if amount > max(0, int64(b.Limit)-used) {
			return false
		}
	}
	return true
}

// spend counts a charge in every budget that it matches.
func (a *Account) spend(w Work, amount int64) {
	for _, b := range a.budgets {
		a.count(b, b.value(w), amount)
	}
}

// count has a budget count more, or less, for a value.
func (a *Account) count(b *budget, value string, amount int64) {
	if value == "" || amount == 0 {
		return
	}
	if b.values[value] == nil {
		b.values[value] = &spent{}
	}
	b.values[value].amount += amount
	a.assess(b, value)
}

// assess notes whether a value has reached the limit or is below it again.
func (a *Account) assess(b *budget, value string) {
	s := b.values[value]
	exceeded := s.amount >= int64(b.Limit)
	if exceeded == s.exceeded {
		return
	}
	s.exceeded, s.since = exceeded, a.At
	kind := budgetRestored
	if exceeded {
		kind = "budget_exceeded"
	}
	a.cross(Crossing{kind, b.nameOf(value)})
}

// nameOf is what signals call a value: "project:web per day".
func (b *budget) nameOf(value string) string {
	name, _, _ := strings.Cut(b.Scope, ":")
	return name + ":" + value + " per " + b.Per
}

// tidy drops the values of which nothing is to be said any more.
func (a *Account) tidy() {
	for _, b := range a.budgets {
		for value, s := range b.values {
			if s.amount == 0 && s.since == (Place{}) && a.heldOf(b, value) == 0 {
				delete(b.values, value)
			}
		}
	}
}

// adoptBudgets takes over the budgets of the terms: what one of the same scope
// and length of time has counted goes on.
func (a *Account) adoptBudgets() {
	before := a.budgets
	a.budgets = nil
	for _, b := range before {
		for value, s := range b.values {
			if s.exceeded {
				a.ended[Crossing{budgetRestored, b.nameOf(value)}] = a.At // unless it goes on
			}
		}
	}
	for _, terms := range a.terms.Budgets {
		b := &budget{Budget: terms, values: map[string]*spent{}}
		a.openWindow(b)
		for _, old := range before {
			if old.Scope == b.Scope && old.Per == b.Per {
				b.start, b.end, b.from, b.values = old.start, old.end, old.from, old.values
				for value := range b.values {
					delete(a.ended, Crossing{budgetRestored, b.nameOf(value)})
				}
			}
		}
		for value := range b.values {
			a.assess(b, value)
		}
		a.budgets = append(a.budgets, b)
	}
}

// openWindow sets the window that contains now.
func (a *Account) openWindow(b *budget) {
	b.from = a.At
	anchor := micros(a.settings.StartedAt)
	switch p := a.period; {
	case b.Per == perPeriod:
		b.start, b.end = ever, never
		if p != nil && p.running {
			b.start, b.end = p.start, p.end
		}
	case a.now < anchor:
		b.start, b.end = ever, anchor
	default:
		b.start, b.end = window(b.Per, anchor, a.now)
	}
}

// endWindows begins a new window where one has ended.
func (a *Account) endWindows() {
	for _, b := range a.budgets {
		if b.Per != perPeriod && b.end <= a.now {
			a.startOver(b)
		}
	}
}

// startOver begins a new window, in which nothing is spent. What was exceeded
// stays known for one window more.
func (a *Account) startOver(b *budget) {
	a.openWindow(b)
	for value, s := range b.values {
		if s.amount = 0; !s.exceeded {
			s.since = Place{}
		}
		a.assess(b, value)
	}
	a.tidy()
}
