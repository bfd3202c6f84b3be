package ledger

import (
	"slices"
	"sort"

	"github.com/drawdown-credits/drawdown/events"
)

// uses says of every debit and correction of an account what it drew, so that
// each can be taken back exactly. Debits that draw one grant alone after each
// other are told by the first of them: there are as many runs as times that the
// source of draws changed, however many debits there are.
type uses struct {
	runs   []run
	repaid []share // of overage by grants, oldest first
	// corrected are the entries whose charge was taken back, or refused.
	corrected map[place]bool
}

// run is a debit, and those behind it that drew what it drew last.
type run struct {
	from  place
	parts []share // of the first, when it drew more than one source
	rest  source  // of all others
}

// source is what credits were taken from: a grant between two of its renewals,
// or without one overage.
type source struct {
	grant *grant
	turn  uint64
}

// share is what was taken from one source.
type share struct {
	source
	amount events.Credits
}

// lost stand for grants that cannot be refilled any more.
var lostToExpiry, lostToVoid = &grant{how: expired}, &grant{how: voided}

// pruneMin is how many runs there are before any are merged.
const pruneMin = 16

// note remembers what the charge at the entry on its way drew.
func (x *step) note() {
	drew := x.state.drew
	if len(drew) == 0 {
		return
	}
	a := x.account
	if a.uses == nil {
		a.uses = &uses{}
	}
	u := a.uses
	if n := len(u.runs); len(drew) == 1 && n > 0 && u.runs[n-1].rest == drew[0].source {
		return
	}
	r := run{from: x.place(), rest: drew[len(drew)-1].source}
	if len(drew) > 1 {
		r.parts = slices.Clone(drew)
	}
	u.runs = append(u.runs, r)
	if n := len(u.runs); n >= pruneMin && n&(n-1) == 0 {
		x.prune()
	}
}

// noteRepaid remembers that g repaid overage.
func (x *step) noteRepaid(g *grant, amount events.Credits) {
	u := x.account.uses
	if u == nil { // the overage is of no debit
		u = &uses{}
		x.account.uses = u
	}
	from := source{g, g.turn()}
	if n := len(u.repaid); n > 0 && u.repaid[n-1].source == from {
		u.repaid[n-1].amount += amount
		return
	}
	u.repaid = append(u.repaid, share{from, amount})
}

// prune forgets which grants it was that cannot be refilled any more, and merges
// what cannot be told apart then.
func (x *step) prune() {
	u := x.account.uses
	kept := u.runs[:0]
	for _, r := range u.runs {
		r.rest = x.standing(r.rest)
		for i := range r.parts {
			r.parts[i].source = x.standing(r.parts[i].source)
		}
		if n := len(kept); n > 0 && len(r.parts) == 0 && kept[n-1].rest == r.rest {
			continue
		}
		kept = append(kept, r)
	}
	clear(u.runs[len(kept):])
	u.runs = kept
	repaid := u.repaid[:0]
	for _, s := range u.repaid {
		s.source = x.standing(s.source)
		if n := len(repaid); n > 0 && repaid[n-1].source == s.source {
			repaid[n-1].amount += s.amount
			continue
		}
		repaid = append(repaid, s)
	}
	clear(u.repaid[len(repaid):])
	u.repaid = repaid
}

// standing returns s, or what stands for it once it cannot be refilled.
func (x *step) standing(s source) source {
	g, c := s.grant, x.account.cycle
	switch {
	case g == nil || g.isLost():
		return s
	case g.closed && g.how == voided:
		return source{grant: lostToVoid}
	case g.closed && g.how == expired, g.expires <= x.now, g.turn() != s.turn:
		return source{grant: lostToExpiry}
	case g.source == events.SourcePlan && (!c.running || g.id != c.grant && g.id != c.rolled):
		return source{grant: lostToExpiry} // of a period that is over
	}
	return s
}

func (g *grant) isLost() bool { return g == lostToExpiry || g == lostToVoid }

// some reports whether anything was ever charged by a debit.
func (u *uses) some() bool { return u != nil && len(u.runs) > 0 }

// of returns what the charge of amount at p drew; ok is false when nothing was
// charged there or before.
func (u *uses) of(p place, amount events.Credits) (parts []share, ok bool) {
	if u == nil {
		return nil, false
	}
	i := sort.Search(len(u.runs), func(i int) bool { return p.before(u.runs[i].from) }) - 1
	if i < 0 {
		return nil, false
	}
	r := u.runs[i]
	if r.from != p || r.parts == nil {
		return []share{{r.rest, amount}}, true
	}
	var sum events.Credits
	for _, s := range r.parts {
		sum += s.amount // of one charge
	}
	return r.parts, sum == amount
}
