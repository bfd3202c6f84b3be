package ledger

import (
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// debt is what an account owed from when it began to owe until it owed nothing:
// overage, and what became of it. What is owed is settled in the order in which
// grants become active, and forgiven last, so if less had been charged, the last
// of that would be less.
type debt struct {
	settled  []share        // by grants, oldest first
	forgiven events.Credits // what was left at its end
}

// owe adds to what the account owes, and returns the debt that this is part of.
func (x *step) owe(amount events.Credits) *debt {
	a := x.account
	u := a.remembered()
	if a.overage == 0 {
		u.debt = &debt{}
	}
	a.overage += amount
	return u.debt
}

// repaid notes that g repaid amount of what the account owes.
func (x *step) repaid(g *grant, amount events.Credits) {
	d := x.account.uses.debt
	from := source{grant: g, turn: g.turn()}
	if n := len(d.settled); n > 0 && d.settled[n-1].source == from {
		d.settled[n-1].amount += amount
	} else if d.settled = append(d.settled, share{from, amount}); isTimeToPrune(len(d.settled)) {
		x.pruneDebt(d)
	}
	x.account.owesLess(amount)
}

// forgive drops what the account owes.
func (a *account) forgive(p *Posting) {
	p.Forgiven = a.overage
	a.forgiven += a.overage
	a.uses.debt.forgiven = a.overage
	a.owesLess(a.overage)
}

// owesLess takes amount off what the account owes. A debt ends with it.
func (a *account) owesLess(amount events.Credits) {
	if amount == 0 {
		return
	}
	if a.overage -= amount; a.overage == 0 {
		a.uses.debt = nil
	}
}

// unsettled is what of a debt is not settled any more.
type unsettled struct {
	debt           *debt
	paid, forgiven events.Credits
}

// unpay adds to back where amount of the debt d goes back to: what is owed still,
// else what was forgiven, then what grants repaid, the latest first. It reports
// whether d is, or was, that much.
func (x *step) unpay(back *refund, d *debt, amount events.Credits) bool {
	if d == x.account.uses.debt {
		back.owed = min(amount, x.account.overage)
		amount -= back.owed
	}
	undone := unsettled{debt: d, forgiven: min(amount, d.forgiven)}
	amount -= undone.forgiven
	for _, s := range slices.Backward(d.settled) {
		s.amount = min(s.amount, amount)
		if s.amount == 0 {
			break
		}
		back.refills = append(back.refills, s)
		undone.paid += s.amount
		amount -= s.amount
	}
	back.forgiven += undone.forgiven
	back.undone = append(back.undone, undone)
	return amount == 0
}

// undo forgets what of its debt u says.
func (u unsettled) undo() {
	d := u.debt
	d.forgiven -= u.forgiven
	for u.paid > 0 {
		last := &d.settled[len(d.settled)-1]
		amount := min(u.paid, last.amount)
		u.paid -= amount
		if last.amount -= amount; last.amount == 0 {
			d.settled = d.settled[:len(d.settled)-1]
		}
	}
}

// pruneDebt forgets which grants repaid d that cannot be refilled any more.
func (x *step) pruneDebt(d *debt) {
	kept := d.settled[:0]
	for _, s := range d.settled {
		s.source = x.standing(s.source)
		if n := len(kept); n > 0 && kept[n-1].source == s.source {
			kept[n-1].amount += s.amount
			continue
		}
		kept = append(kept, s)
	}
	clear(d.settled[len(kept):])
	d.settled = kept
}

// standingOf returns what stands for a debt once all of it went one way that does
// not come back, or the debt.
func (x *step) standingOf(d *debt) source {
	switch {
	case d == x.account.uses.debt:
	case len(d.settled) == 0 && d.forgiven > 0:
		return source{grant: lostToForgiving}
	case len(d.settled) == 1 && d.forgiven == 0 && d.settled[0].grant.isLost():
		return d.settled[0].source
	}
	return source{debt: d}
}
