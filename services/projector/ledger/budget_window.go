package ledger

// adoptBudgets takes over the budgets of the account's terms. One of the same
// scope and length of time goes on with what was counted; a new one begins in
// the window that runs, with what open holds reserve.
func (x *step) adoptBudgets() {
	a := x.account
	var adopted []*budget
	for _, l := range a.terms.limits {
		b := a.budgetLike(l)
		if b == nil {
			b = x.newBudget(l)
		}
		b.limit = l
		for _, c := range b.counts {
			x.assess(b, c)
		}
		b.resettle()
		adopted = append(adopted, b)
	}
	a.budgets = adopted
}

func (x *step) newBudget(l limit) *budget {
	b := &budget{limit: l, counts: map[string]*count{}}
	x.openWindow(b)
	if x.account.holds == nil {
		return b
	}
	for _, h := range x.account.holds.open {
		if value := l.match(h.scopes); value != "" {
			b.reserve(value, h.amount)
		}
	}
	return b
}

func (a *account) budgetLike(l limit) *budget {
	for _, b := range a.budgets {
		if b.name == l.name && b.value == l.value && b.per == l.per {
			return b
		}
	}
	return nil
}

// openWindow sets the window of b that contains now. All the time before the
// account's start is one window.
func (x *step) openWindow(b *budget) {
	a := x.account
	b.from = x.place()
	anchor := microsOf(a.settings.content.StartedAt)
	switch c := a.cycle; {
	case !b.period.some():
		b.start, b.end = since, never
		if c != nil && c.running {
			b.start, b.end = c.start, c.end
		}
	case x.now < anchor:
		b.start, b.end = since, anchor
	default:
		b.start, b.end = b.period.around(anchor, x.now)
	}
}

// endWindows begins a new window for the budgets whose window has ended. Those
// of the account's periods begin with each of them instead.
func (x *step) endWindows() {
	for _, b := range x.account.budgets {
		if b.period.some() && b.end <= x.now {
			x.startOver(b)
		}
	}
}

// restartPeriodWindows begins a new window for the budgets of the account's
// periods, as one of these began.
func (x *step) restartPeriodWindows() {
	for _, b := range x.account.budgets {
		if !b.period.some() {
			x.startOver(b)
		}
	}
}

// startOver begins a new window: nothing is spent in it, and holds go on. A value
// that was exceeded stays known for one window more, to tell what restored it.
func (x *step) startOver(b *budget) {
	x.openWindow(b)
	b.full = false
	for _, c := range b.counts {
		c.spent = 0
		if !c.exceeded {
			c.since = nil
		}
		x.assess(b, c)
	}
	b.resettle()
}

// budgetsDue is when the end of a window next changes a budget.
func (a *account) budgetsDue() micros {
	due := never
	for _, b := range a.budgets {
		if b.period.some() && b.stirred > 0 {
			due = min(due, b.end)
		}
	}
	return due
}
