package ledger

import (
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// correct decides a command to take back what a usage event is charged, and to
// put another charge, or none, in its place.
func (x *step) correct(c *events.Correction) events.Decision {
	a := x.account
	at, first := place{c.Corrects.Sequence, c.Corrects.Index}, place{c.First.Sequence, c.First.Index}
	was, now := c.Charges()
	switch {
	case !at.before(x.place()) || at.before(first):
		return refuse(events.RefusedInvalid, "corrects: expected an entry before this one, and none before the event's first")
	case c.Was == nil && c.Now == nil:
		return refuse(events.RefusedInvalid, "expected a charge that was, one that is now, or both")
	case a.uses != nil && a.uses.corrected[at]:
		return refuse(events.RefusedConflict, "corrects: that entry charges nothing any more")
	case was < 0 || was > events.MaxCredits || now < 0 || now > events.MaxCredits:
		return refuse(events.RefusedInvalid, "the amount of a debit lies outside 0 and "+events.MaxCredits.String())
	}
	back, ok := x.refundOf(at, was)
	if !ok || !a.counted(first, c.Was) {
		return refuse(events.RefusedNotFound, "corrects: the account was not charged this amount there")
	}
	if _, err := (a.charged - was).Add(now); err != nil {
		return refuse(events.RefusedOverflow, "all that was ever charged would overflow")
	}
	p := x.begin(PostingCorrection, x.now)
	p.Charged = now - was
	a.charged += p.Charged
	x.giveBack(p, back)
	x.repay(p)
	x.cover(p, now)
	x.note()
	x.recount(first, c.Was, c.Now)
	a.chargesNothing(at)
	x.end(p)
	decision := applied
	decision.Corrected = Corrected(c, *p)
	return decision
}

// Corrected says what the correction c did, whose own posting is p.
func Corrected(c *events.Correction, p Posting) *events.Corrected {
	did := &events.Corrected{Expired: p.Expired, Voided: p.Voided, Forgiven: -p.Forgiven}
	did.Was, did.Now = c.Charges()
	did.Owed = did.Was - did.Forgiven
	for _, d := range p.Draws {
		switch {
		case d.Amount > 0:
			did.Drawn = addShare(did.Drawn, d.Grant, d.Amount, d.Left)
			continue
		case d.Left > 0: // as of every grant that was refilled
			did.Refilled = addShare(did.Refilled, d.Grant, -d.Amount, d.Left)
		default:
			did.Lost = addShare(did.Lost, d.Grant, -d.Amount, d.Left)
		}
		did.Owed += d.Amount
	}
	return did
}

// addShare adds a share to others, of the same grant to the one before.
func addShare(shares []events.GrantShare, grant string, amount, left events.Credits) []events.GrantShare {
	if n := len(shares); n > 0 && shares[n-1].Grant == grant {
		shares[n-1].Amount, shares[n-1].Left = shares[n-1].Amount+amount, left
		return shares
	}
	return append(shares, events.GrantShare{Grant: grant, Amount: amount, Left: left})
}

// place is that of the entry on its way.
func (x *step) place() place { return place{x.point.Sequence, x.point.Index} }

// chargesNothing remembers that the entry at p charges nothing, or nothing any
// more.
func (a *account) chargesNothing(p place) {
	if a.uses == nil {
		a.uses = &uses{}
	}
	if a.uses.corrected == nil {
		a.uses.corrected = map[place]bool{}
	}
	a.uses.corrected[p] = true
}

// refund is where a charge goes back to.
type refund struct {
	refills  []share        // of grants
	owed     events.Credits // that is owed no more
	unpaid   events.Credits // of what grants repaid, the latest first
	forgiven events.Credits // that was forgiven, and gives nobody anything back
}

// refundOf returns where the charge of amount at p goes back to; ok is false
// when so much cannot have been charged there.
func (x *step) refundOf(p place, amount events.Credits) (back refund, ok bool) {
	if amount == 0 {
		return back, true
	}
	parts, ok := x.account.uses.of(p, amount)
	if !ok {
		return back, false
	}
	for _, s := range parts {
		if s.grant != nil {
			back.refills = append(back.refills, s)
		} else {
			x.unpay(&back, s.amount)
		}
	}
	return back, x.fits(back)
}

// unpay adds overage to what goes back: what is owed still, then what grants
// repaid, the latest first, and the rest was forgiven.
func (x *step) unpay(back *refund, amount events.Credits) {
	a := x.account
	back.owed = min(amount, a.overage)
	amount -= back.owed
	for _, s := range slices.Backward(a.uses.repaid) {
		s.amount = min(s.amount, amount)
		if s.amount == 0 {
			break
		}
		back.refills = append(back.refills, s)
		back.unpaid += s.amount
		amount -= s.amount
	}
	back.forgiven = amount
}

// fits reports whether everything has room where it goes back to. It has, unless
// a correction says of an entry what is not so.
func (x *step) fits(back refund) bool {
	a := x.account
	var sum events.Credits
	for i, s := range back.refills {
		sum += s.amount
		if x.standing(s.source).grant.isLost() {
			continue
		}
		total := s.amount
		for _, other := range back.refills[:i] {
			if other.source == s.source {
				total += other.amount
			}
		}
		if total > s.grant.amount-s.grant.remaining {
			return false
		}
	}
	return sum <= a.drawn && back.forgiven <= a.forgiven
}

// giveBack returns credits to where they came from.
func (x *step) giveBack(p *Posting, back refund) {
	a := x.account
	a.overage -= back.owed
	a.forgiven -= back.forgiven
	p.Forgiven -= back.forgiven
	for unpaid := back.unpaid; unpaid > 0; {
		last := &a.uses.repaid[len(a.uses.repaid)-1]
		amount := min(unpaid, last.amount)
		unpaid -= amount
		if last.amount -= amount; last.amount == 0 {
			a.uses.repaid = a.uses.repaid[:len(a.uses.repaid)-1]
		}
	}
	for _, s := range back.refills {
		x.refill(p, s.source, s.amount)
	}
}

// refill returns amount to a grant, which is opened again when it was spent. What
// cannot be returned any more is lost as it would have been undrawn.
func (x *step) refill(p *Posting, from source, amount events.Credits) {
	a, g := x.account, from.grant
	d := Draw{Grant: g.id, Amount: -amount}
	a.drawn -= amount
	p.Drawn -= amount
	switch x.standing(from).grant {
	case lostToExpiry:
		a.expired += amount
		p.Expired += amount
	case lostToVoid:
		a.voided += amount
		p.Voided += amount
	default:
		if g.rests() {
			a.wake(g)
		} else if g.closed {
			x.reopen(g)
		}
		g.remaining += amount
		a.drawable += amount
		d.Left = g.remaining
	}
	p.Draws = append(p.Draws, d)
}

// reopen makes a spent grant active again.
func (x *step) reopen(g *grant) {
	key := grantKey(x.account.id, g.id)
	f := x.state.known[key]
	f.open, f.how = g, spent
	x.state.known[key] = f
	g.closed = false
	x.account.active.push(g)
	x.account.watchExpiry(g)
	if g.renewal != nil {
		x.account.enqueueRenewal(g)
	}
}
