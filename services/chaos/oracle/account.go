package oracle

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const never = int64(math.MaxInt64)

// account is the oracle's own fold of one account, with default terms: the
// account is low at 20% of what was available after the last grant, and
// exhausted at 0.
type account struct {
	name string
	at   place
	now  int64 // microseconds; never goes back

	granted, drawn, expired, voided, charged, overage, topped int64

	active  []*grant // in draw order
	pending []*grant // by when they begin
	known   map[string]*grant
	issued  int

	low, stop level
	debits    sum
}

type grant struct {
	id                string
	amount, remaining int64
	priority          int
	begins, ends      int64
	nth               int
	state             string // pending, active, spent, expired, voided
}

// level is whether an account stands at or below a threshold, and every
// crossing so far.
type level struct {
	at      int64
	reached bool
	since   place
	into    []place // crossings downwards
	outof   []place // and upwards
}

func newAccount(name string) *account {
	return &account{name: name, now: math.MinInt64, known: map[string]*grant{}}
}

func (a *account) available() (sum int64) {
	for _, g := range a.active {
		sum += g.remaining
	}
	return sum
}

func (a *account) remaining() int64 { return a.granted - a.drawn - a.expired - a.voided }

// pass moves the account to an entry, and lets time pass until then.
func (a *account) pass(at place, t time.Time) {
	a.at = at
	a.now = max(a.now, t.UnixMicro())
	for {
		expiring := a.firstToExpire()
		var beginning *grant
		if len(a.pending) > 0 && a.pending[0].begins <= a.now {
			beginning = a.pending[0]
		}
		switch {
		case expiring != nil && (beginning == nil || expiring.ends <= beginning.begins):
			a.expired += expiring.remaining
			a.leave(expiring, "expired")
		case beginning != nil:
			a.pending = a.pending[1:]
			a.begin(beginning)
		default:
			return
		}
		a.evaluate()
	}
}

// firstToExpire is the active grant that expires next, if it has by now.
func (a *account) firstToExpire() (first *grant) {
	for _, g := range a.active {
		if g.ends <= a.now && (first == nil || g.ends < first.ends || g.ends == first.ends && g.nth < first.nth) {
			first = g
		}
	}
	return first
}

func (a *account) leave(g *grant, state string) {
	g.state = state
	a.active = slices.DeleteFunc(a.active, func(other *grant) bool { return other == g })
}

func (a *account) debit(amount int64) {
	a.charged += amount
	a.debits.count++
	a.debits.uc += amount
	for amount > 0 && len(a.active) > 0 {
		amount -= a.draw(a.active[0], amount)
	}
	a.overage += amount
}

func (a *account) draw(g *grant, limit int64) int64 {
	amount := min(limit, g.remaining)
	g.remaining -= amount
	a.drawn += amount
	if g.remaining == 0 {
		a.leave(g, "spent")
	}
	return amount
}

// grant issues a grant once; what has ended already is refused.
func (a *account) grant(id string, amount int64, priority int, begins, ends time.Time) {
	g := &grant{id: id, amount: amount, remaining: amount, priority: priority, begins: a.now, ends: never}
	if !begins.IsZero() {
		g.begins = begins.UnixMicro()
	}
	if !ends.IsZero() {
		g.ends = ends.UnixMicro()
	}
	if a.known[id] != nil || g.ends <= a.now {
		return
	}
	a.known[id] = g
	a.granted += amount
	g.nth = a.issued
	a.issued++
	if g.begins > a.now {
		g.state = "pending"
		a.pending = append(a.pending, g)
		slices.SortStableFunc(a.pending, func(g, h *grant) int { return cmp.Compare(g.begins, h.begins) })
		return
	}
	a.begin(g)
}

// begin makes a grant active, upon which it repays overage.
func (a *account) begin(g *grant) {
	g.state = "active"
	a.active = append(a.active, g)
	slices.SortFunc(a.active, func(g, h *grant) int {
		return cmp.Or(cmp.Compare(g.priority, h.priority), cmp.Compare(g.ends, h.ends), cmp.Compare(g.nth, h.nth))
	})
	if repaid := min(a.overage, g.remaining); repaid > 0 {
		a.overage -= a.draw(g, repaid)
	}
	a.topped = a.available()
}

func (a *account) void(id string) {
	g := a.known[id]
	if g == nil || g.state != "active" {
		return
	}
	a.voided += g.remaining
	a.leave(g, "voided")
}

// evaluate notes the levels crossed.
func (a *account) evaluate() {
	if a.granted == 0 && a.charged == 0 {
		return
	}
	a.low.at = a.topped / 5
	available := a.available()
	a.low.cross(available, a.at)
	a.stop.cross(available, a.at)
}

func (l *level) cross(available int64, at place) {
	reached := available <= l.at
	if reached == l.reached {
		return
	}
	l.reached, l.since = reached, at
	if reached {
		l.into = append(l.into, at)
	} else {
		l.outof = append(l.outof, at)
	}
}
