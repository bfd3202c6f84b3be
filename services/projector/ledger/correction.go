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
	back, ok := x.refundOf(at, was, max(0, was-now))
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
	x.cover(p, max(0, p.Charged))
	x.state.drew = joined(back.kept, x.state.drew)
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
	did.Owed = max(0, did.Was-did.Now) - did.Forgiven
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

// joined returns all shares of drew behind those of kept, neighbours of one source
// as one, in the memory of kept.
func joined(kept, drew []share) []share {
	for _, s := range drew {
		if n := len(kept); n > 0 && kept[n-1].source == s.source {
			kept[n-1].amount += s.amount
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// place is that of the entry on its way.
func (x *step) place() place { return place{x.point.Sequence, x.point.Index} }

// chargesNothing remembers that the entry at p charges nothing, or nothing any
// more.
func (a *account) chargesNothing(p place) {
	u := a.remembered()
	if u.corrected == nil {
		u.corrected = map[place]bool{}
	}
	u.corrected[p] = true
}

// refund is where a charge, or the last part of one, goes back to.
type refund struct {
	kept     []share        // of what the charge drew, as it stays
	refills  []share        // of grants
	owed     events.Credits // that is owed no more
	forgiven events.Credits // that was forgiven, and gives nobody anything back
	undone   []unsettled    // of debts
}

// refundOf returns where the last part, less, of the charge of amount at p goes
// back to: what it drew last comes first, as a lower charge would not have drawn
// it. ok is false when so much cannot have been charged there.
func (x *step) refundOf(p place, amount, less events.Credits) (back refund, ok bool) {
	if amount == 0 {
		return back, true
	}
	parts, ok := x.account.uses.of(p, amount)
	if !ok {
		return back, false
	}
	back.kept = slices.Clone(parts)
	for less > 0 {
		last := &back.kept[len(back.kept)-1]
		taken := share{last.source, min(less, last.amount)}
		less -= taken.amount
		if last.amount -= taken.amount; last.amount == 0 {
			back.kept = back.kept[:len(back.kept)-1]
		}
		switch {
		case taken.debt != nil:
			ok = x.unpay(&back, taken.debt, taken.amount) && ok
		case taken.grant == lostToForgiving:
			back.forgiven += taken.amount
		default:
			back.refills = append(back.refills, taken)
		}
	}
	slices.Reverse(back.refills) // to the order in which they were drawn
	return back, ok && x.fits(back)
}

// fits reports whether everything has room where it goes back to. It has, unless
// a correction says of an entry what is not so.
func (x *step) fits(back refund) bool {
	var sum events.Credits
	ofGrant := map[*grant]events.Credits{}
	for _, s := range back.refills {
		sum += s.amount
		if x.standing(s.source).grant.isLost() {
			continue
		}
		if ofGrant[s.grant] += s.amount; ofGrant[s.grant] > s.grant.amount-s.grant.remaining {
			return false
		}
	}
	return sum <= x.account.drawn && back.forgiven <= x.account.forgiven
}

// giveBack returns credits to where they came from.
func (x *step) giveBack(p *Posting, back refund) {
	a := x.account
	a.owesLess(back.owed)
	a.forgiven -= back.forgiven
	p.Forgiven -= back.forgiven
	for _, u := range back.undone {
		u.undo()
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
