package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// byDraw is the order in which active grants are drawn: priority, soonest
// expiry (none last), oldest in the ledger.
type byDraw struct{}

func (byDraw) before(a, b *grant) bool {
	if a.priority != b.priority {
		return a.priority < b.priority
	}
	if a.expires != b.expires {
		return a.expires < b.expires
	}
	return a.order < b.order
}

func (byDraw) moved(g *grant, index int) { g.index = int32(index) }

// debit charges a usage event: it draws active grants in order, and what they
// do not cover becomes overage.
func (x *step) debit(d *events.Debit) events.Decision {
	a := x.account
	if d.Amount < 0 || d.Amount > events.MaxCredits {
		return refuse(events.RefusedInvalid, "the amount of a debit lies outside 0 and "+events.MaxCredits.String())
	}
	charged, err := a.charged.Add(d.Amount)
	if err != nil {
		return refuse(events.RefusedOverflow, "all that was ever charged would overflow")
	}
	p := x.begin(PostingDebit, x.now)
	p.Charged = d.Amount
	a.charged = charged
	x.cover(p, d.Amount)
	x.note()
	x.spend(scopesOf(d), d.Amount)
	x.end(p)
	return applied
}

// cover draws active grants in order for what was charged. What they do not
// cover becomes overage. Holds reserve amounts, not grants: nothing is spared
// for them.
func (x *step) cover(p *Posting, owed events.Credits) {
	a, s := x.account, x.state
	s.drew = s.drew[:0]
	for owed > 0 && len(a.active) > 0 {
		from := source{grant: a.active[0], turn: a.active[0].turn()}
		drawn := x.draw(p, from.grant, owed)
		s.drew = append(s.drew, share{from, drawn})
		owed -= drawn
	}
	if owed > 0 {
		s.drew = append(s.drew, share{source{debt: x.owe(owed)}, owed})
	}
}

// repay lets active grants pay what is still owed.
func (x *step) repay(p *Posting) {
	a := x.account
	for a.overage > 0 && len(a.active) > 0 {
		g := a.active[0]
		x.repaid(g, x.draw(p, g, a.overage))
	}
}

// draw takes up to limit from an active grant, closes it once it is spent, and
// returns how much it took.
func (x *step) draw(p *Posting, g *grant, limit events.Credits) events.Credits {
	a := x.account
	amount := min(limit, g.remaining)
	g.remaining -= amount
	a.drawable -= amount
	a.drawn += amount
	p.Drawn += amount
	p.Draws = append(p.Draws, Draw{Grant: g.id, Amount: amount, Left: g.remaining})
	switch {
	case g.remaining > 0:
	case g.renews():
		a.rest(g)
	default:
		x.close(g, spent)
	}
	return amount
}

// takeEffect makes a grant active. Before anything else it repays outstanding
// overage.
func (x *step) takeEffect(p *Posting, g *grant) {
	a := x.account
	a.drawable += g.remaining
	a.active.push(g)
	a.watchExpiry(g)
	a.watchRenewal(g, microsOf(p.At))
	if a.cycle != nil && a.cycle.running {
		a.cycle.granted += g.amount
	}
	x.replenished(p)
}

// close takes an active grant out of the account and remembers how it ended.
func (x *step) close(g *grant, how ending) {
	a := x.account
	if g.rests() {
		a.renewing.resting.remove(int(g.index))
		g.renewal.resting = false
	} else {
		a.active.remove(int(g.index))
	}
	a.unwatchRenewal(g)
	if g.expiryIndex >= 0 {
		a.expiring.remove(int(g.expiryIndex))
	}
	key := grantKey(a.id, g.id)
	f := x.state.known[key]
	f.open, f.how = nil, how
	x.state.known[key] = f
	g.closed, g.how = true, how
}
