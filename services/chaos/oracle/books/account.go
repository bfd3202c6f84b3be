package books

import (
	"cmp"
	"slices"
	"time"
)

// Account is one account.
type Account struct {
	books *Books
	Name  string
	At    Place // of the last entry

	now    int64 // never goes back
	stored int64 // when the last entry was
	next   int64 // nothing is due before

	settings *Settings
	waiting  *Settings // until the period ends
	taken    int       // of the versions of its plan
	terms    Terms     // the plan's and the account's own

	granted, drawn, expired, voided    int64
	Charged, overage, forgiven, topped int64

	active  []*Grant // in the order in which they are drawn
	resting []*Grant // spent until they are renewed; the oldest first
	pending []*Grant // by when they begin
	known   map[string]*Grant
	charges map[string]*Adjust // by hand, below 0
	issued  int

	corrected map[Place]*charge // what usage drew, by where that stands
	settled   []drawn           // of what was owed, the oldest first
	debt      int               // the number of what is owed, or of what will be
	requests  []*request        // for top-ups, the oldest first

	period   *period
	follows  bool // the period that begins next follows one that ended
	prorated bool

	open    []*Hold // by when they expire
	holds   map[string]*Hold
	budgets []*budget

	levels  []*Level
	touched bool // by a debit that charged something
	// Crossings are the entries at which the account crossed each of its levels,
	// by its kind and threshold, and either way.
	Crossings map[Crossing][]Place
	ended     map[Crossing]Place // levels and budgets that other terms ended
}

func newAccount(b *Books, name string) *Account {
	a := &Account{
		books: b, Name: name, now: ever, next: ever, known: map[string]*Grant{}, charges: map[string]*Adjust{},
		holds: map[string]*Hold{}, corrected: map[Place]*charge{}, Crossings: map[Crossing][]Place{}, ended: map[Crossing]Place{},
	}
	a.adopt(Terms{})
	return a
}

// drawable is what is left of active grants.
func (a *Account) drawable() (sum int64) {
	for _, g := range a.active {
		sum += g.remaining
	}
	return sum
}

// Held is what open holds reserve, in micro-credits.
func (a *Account) Held() (sum int64) {
	for _, h := range a.open {
		sum += h.amount
	}
	return sum
}

// Available is what may be spent now, in micro-credits.
func (a *Account) Available() int64 { return max(0, a.drawable()-a.Held()) }

func (a *Account) remaining() int64 { return a.granted - a.drawn - a.expired - a.voided }

// pass lets everything happen that is due, one by one.
func (a *Account) pass() {
	for a.now >= a.next {
		at, happen := a.upcoming()
		if a.next = at; at <= a.now {
			happen(at)
			a.next = ever
		}
	}
	a.endWindows()
	a.timeOut()
}

// upcoming returns what happens next and when: what comes first and, at one
// instant, what stands first here.
func (a *Account) upcoming() (at int64, happen func(int64)) {
	at = never
	due := func(when int64, what func(int64)) {
		if when < at {
			at, happen = when, what
		}
	}
	if len(a.open) > 0 {
		due(a.open[0].expires, a.expireHold)
	}
	if g := a.first(expiry); g != nil {
		due(expiry(g), func(int64) { a.expire(g) })
	}
	p := a.period
	if p != nil && p.running {
		due(p.end, a.endPeriod)
	}
	if g := a.first(recurrence); g != nil {
		due(g.recurs, func(at int64) { a.recur(g, at) })
	}
	if p != nil && !p.running {
		due(p.starts, a.startPeriod)
	}
	if len(a.pending) > 0 {
		due(a.pending[0].begins, a.activate)
	}
	return at, happen
}

// Due is when time next changes the account; false when it never does.
func (a *Account) Due() (time.Time, bool) {
	at, _ := a.upcoming()
	for _, b := range a.budgets {
		for _, s := range b.values {
			if b.Per != perPeriod && s.amount > 0 {
				at = min(at, b.end)
			}
		}
	}
	at = min(at, a.topUpDue())
	return instant(at), at != never
}

// first returns the grant, active or resting, that comes first at an instant of
// its own, the older one of two.
func (a *Account) first(when func(*Grant) int64) (first *Grant) {
	for _, all := range [][]*Grant{a.active, a.resting} {
		for _, g := range all {
			if first == nil || cmp.Or(cmp.Compare(when(g), when(first)), cmp.Compare(g.nth, first.nth)) < 0 {
				first = g
			}
		}
	}
	return first
}

// expiry is when a grant expires by itself: never, if it ends with a period that
// carries it over.
func expiry(g *Grant) int64 {
	if g.carried {
		return never
	}
	return g.ends
}

func recurrence(g *Grant) int64 { return g.recurs }

// debit charges usage.
func (a *Account) debit(d *Debit) Decision {
	a.Charged += int64(d.Amount)
	a.touched = a.touched || d.Amount > 0
	drew := a.cover(int64(d.Amount))
	if a.books.Corrects == nil || a.books.Corrects(d) {
		a.corrected[a.At] = &charge{amount: int64(d.Amount), drew: drew}
	}
	a.spend(d.Data, int64(d.Amount))
	return applied
}

// drawn is what a grant gave at one of its turns, or nil: what was owed, of a
// debt.
type drawn struct {
	*Grant
	turn, debt int
	amount     int64
}

// cover draws grants in order; what they do not cover is owed.
func (a *Account) cover(amount int64) (drew []drawn) {
	for amount > 0 && len(a.active) > 0 {
		d := drawn{Grant: a.active[0], turn: a.active[0].turn}
		d.amount = a.draw(d.Grant, amount)
		amount -= d.amount
		drew = append(drew, d)
	}
	if amount > 0 {
		a.overage += amount
		drew = append(drew, drawn{debt: a.debt, amount: amount})
	}
	return drew
}

// draw takes from a grant what it has, at most limit.
func (a *Account) draw(g *Grant, limit int64) int64 {
	amount := min(limit, g.remaining)
	g.remaining -= amount
	a.drawn += amount
	switch {
	case g.remaining > 0:
	case g.renews():
		a.active = without(a.active, g)
		a.resting = append(a.resting, g)
		slices.SortFunc(a.resting, func(g, h *Grant) int { return cmp.Compare(g.nth, h.nth) })
	default:
		a.leave(g, "spent")
	}
	return amount
}

// repay has grants pay what is owed.
func (a *Account) repay() {
	for a.overage > 0 && len(a.active) > 0 {
		d := drawn{Grant: a.active[0], turn: a.active[0].turn, debt: a.debt}
		d.amount = a.draw(d.Grant, a.overage)
		a.settled = append(a.settled, d)
		a.owe(-d.amount)
	}
}

// forgive drops what is owed.
func (a *Account) forgive() {
	a.forgiven += a.overage
	a.settled = append(a.settled, drawn{debt: a.debt, amount: a.overage})
	a.owe(-a.overage)
}

// owe changes what is owed; once it is nothing, the next debt is another one.
func (a *Account) owe(more int64) {
	if a.overage += more; a.overage == 0 && more < 0 {
		a.debt++
	}
}

// replenished has new credits repay what is owed before anything else.
func (a *Account) replenished() {
	a.repay()
	a.topped = a.drawable()
	a.rebase()
}

// adjust corrects the account by hand.
func (a *Account) adjust(c *Adjust) Decision {
	id := "adjust:" + c.ID
	if before, ok := a.charges[c.ID]; ok {
		if *before == *c {
			return unchanged
		}
		return refused("conflict")
	}
	a.charges[c.ID] = c
	if c.Amount > 0 {
		a.issue(&Grant{ID: id, amount: int64(c.Amount), priority: defaultPriority, begins: a.now, ends: never})
		return applied
	}
	a.Charged -= int64(c.Amount)
	a.cover(-int64(c.Amount))
	return applied
}

func without[T comparable](all []T, one T) []T {
	return slices.DeleteFunc(all, func(other T) bool { return other == one })
}
