package ledger

import (
	"iter"
	"slices"
	"sort"

	"github.com/drawdown-credits/drawdown/events"
)

// uses says of every debit and correction of an account what it drew, so that
// each can be taken back exactly. Debits that draw one grant alone after each
// other are told by the first of them: there are as many runs as times that the
// source of draws changed, however many debits there are.
type uses struct {
	runs []run
	debt *debt // that runs: the account owes something
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
// or without one a debt.
type source struct {
	grant *grant
	turn  uint64
	debt  *debt
}

// share is what was taken from one source.
type share struct {
	source
	amount events.Credits
}

// lost stand for grants that cannot be refilled any more, and for debts that were
// forgiven.
var lostToExpiry, lostToVoid, lostToForgiving = &grant{how: expired}, &grant{how: voided}, &grant{}

// pruneMin is how many there are of something before any are merged.
const pruneMin = 4

// isTimeToPrune reports whether n has doubled.
func isTimeToPrune(n int) bool { return n >= pruneMin && n&(n-1) == 0 }

// remembered returns what is remembered of a's draws, new if need be.
func (a *account) remembered() *uses {
	if a.uses == nil {
		a.uses = &uses{}
	}
	return a.uses
}

// note remembers what the charge at the entry on its way drew.
func (x *step) note() {
	drew := x.state.drew
	if len(drew) == 0 {
		return
	}
	u := x.account.remembered()
	if n := len(u.runs); len(drew) == 1 && n > 0 && u.runs[n-1].rest == drew[0].source {
		return
	}
	r := run{from: x.place(), rest: drew[len(drew)-1].source}
	if len(drew) > 1 {
		r.parts = slices.Clone(drew)
	}
	u.runs = append(u.runs, r)
	if isTimeToPrune(len(u.runs)) {
		x.prune()
	}
}

// prune forgets which grants it was that cannot be refilled any more, and merges
// what cannot be told apart then.
func (x *step) prune() {
	u := x.account.uses
	for d := range u.debts() {
		x.pruneDebt(d)
	}
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
}

// debts are those of u, each once, as runs first name them, and the one that runs
// last.
func (u *uses) debts() iter.Seq[*debt] {
	return func(yield func(*debt) bool) {
		seen := map[*debt]bool{nil: true}
		next := func(d *debt) bool {
			if seen[d] {
				return true
			}
			seen[d] = true
			return yield(d)
		}
		for _, r := range u.runs {
			for _, s := range r.parts {
				if !next(s.debt) {
					return
				}
			}
			if !next(r.rest.debt) {
				return
			}
		}
		next(u.debt)
	}
}

// standing returns s, or what stands for it once it cannot be refilled.
func (x *step) standing(s source) source {
	g, c := s.grant, x.account.cycle
	switch {
	case s.debt != nil:
		return x.standingOf(s.debt)
	case g.isLost():
		return s
	case g.turn() != s.turn: // what is left at a renewal expires, whatever came later
		return source{grant: lostToExpiry}
	case g.closed && g.how == voided:
		return source{grant: lostToVoid}
	case g.closed && g.how == expired, g.expires <= x.now:
		return source{grant: lostToExpiry}
	case g.source == events.SourcePlan && (!c.running || g.id != c.grant && g.id != c.rolled):
		return source{grant: lostToExpiry} // of a period that is over
	}
	return s
}

func (g *grant) isLost() bool { return g == lostToExpiry || g == lostToVoid || g == lostToForgiving }

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
