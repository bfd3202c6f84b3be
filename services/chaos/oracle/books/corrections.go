package books

// charge is what a usage event was charged at one place, and what that drew.
type charge struct {
	amount int64
	drew   []drawn
	gone   bool // a correction stands in its place, or it was none
}

// correct puts another charge in the place of one. What both have in common stays
// where it was drawn: a lower one gives back what was drawn last, a higher one
// draws the difference.
func (a *Account) correct(c *Correction) Decision {
	was, now := a.corrected[c.Corrects], charge{}
	a.corrected[a.At] = &now
	switch {
	case was == nil:
		now.gone = true
		return refused("not_found")
	case was.gone:
		now.gone = true
		return refused("conflict")
	}
	was.gone = true
	if c.Now != nil {
		now.amount = int64(c.Now.Amount)
	}
	a.Charged += now.amount - was.amount
	now.drew = was.drew
	for less := was.amount - now.amount; less > 0; {
		last := &now.drew[len(now.drew)-1]
		taken := *last
		taken.amount = min(taken.amount, less)
		less -= taken.amount
		a.takeBack(taken)
		if last.amount -= taken.amount; last.amount == 0 {
			now.drew = now.drew[:len(now.drew)-1]
		}
	}
	a.repay()
	more := max(0, now.amount-was.amount)
	now.drew = append(now.drew, a.cover(more)...)
	a.touched = a.touched || now.amount > 0
	a.recount(c)
	return applied
}

// takeBack returns what a charge drew. What it owed goes from its debt: what is
// owed still, and else what settled it last.
func (a *Account) takeBack(d drawn) {
	if d.Grant != nil {
		a.refill(d)
		return
	}
	if d.debt == a.debt {
		owed := min(d.amount, a.overage)
		d.amount -= owed
		a.owe(-owed)
	}
	for i := len(a.settled) - 1; d.amount > 0; i-- {
		s := &a.settled[i]
		if s.debt != d.debt {
			continue
		}
		back := *s
		back.amount = min(s.amount, d.amount)
		s.amount -= back.amount
		d.amount -= back.amount
		if s.Grant != nil {
			a.refill(back)
		} else {
			a.forgiven -= back.amount
		}
	}
}

// refill returns credits to a grant. If that has ended or was renewed since, they
// are lost as they would have been.
func (a *Account) refill(d drawn) {
	g, p := d.Grant, a.period
	a.drawn -= d.amount
	switch {
	case g.turn == d.turn && g.State == "voided":
		a.voided += d.amount
		return
	case g.turn != d.turn, g.State == "expired", g.ends <= a.now, g.ofPlan && (!p.running || g != p.grant && g != p.rolled):
		a.expired += d.amount
		return
	case g.State == "spent":
		g.State = "active"
		a.activeAgain(g)
	case g.remaining == 0: // it rests
		a.resting = without(a.resting, g)
		a.activeAgain(g)
	}
	g.remaining += d.amount
}

// recount has the budgets count the charge that is now for the one that was, where
// their window has counted the event.
func (a *Account) recount(c *Correction) {
	value := func(b *budget, d *Debit) (string, int64) {
		if d == nil || b.value(d.Data) == "" {
			return "", 0
		}
		return b.value(d.Data), int64(d.Amount)
	}
	for _, b := range a.budgets {
		if b.from.After(c.First) {
			continue
		}
		out, less := value(b, c.Was)
		in, more := value(b, c.Now)
		if out == in {
			a.count(b, in, more-less)
			continue
		}
		a.count(b, out, -less)
		a.count(b, in, more)
	}
	a.tidy()
}
