package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// renewal is what boundaries do to a grant: its own recurrence, or else the
// account's new periods.
type renewal struct {
	every    period         // between its recurrences; none for one that has none
	amount   events.Credits // granted at each
	next     micros         // when it recurs; never without recurrence, and in its last interval
	rollover rollover
	resting  bool
	turn     uint64 // how often it was renewed
	index    int32  // in renewing.recurring or renewing.rolling; -1 when it is in none
}

// renewing are the grants of an account that have a renewal and took effect.
type renewing struct {
	recurring queue[*grant, byRecurrence]
	rolling   queue[*grant, byAge]  // at new periods
	resting   queue[*grant, byRest] // spent, until they are renewed
}

// byRecurrence is the order in which grants recur.
type byRecurrence struct{}

func (byRecurrence) before(a, b *grant) bool {
	if a.renewal.next != b.renewal.next {
		return a.renewal.next < b.renewal.next
	}
	return a.order < b.order
}

func (byRecurrence) moved(g *grant, index int) { g.renewal.index = int32(index) }

// byAge is the order of the ledger.
type byAge struct{}

func (byAge) before(a, b *grant) bool   { return a.order < b.order }
func (byAge) moved(g *grant, index int) { g.renewal.index = int32(index) }

// byRest is the order of the ledger, too.
type byRest struct{ byAge }

func (byRest) moved(g *grant, index int) { g.index = int32(index) }

// renewalOf reads checked content; nil is none.
func renewalOf(g *events.Grant) *renewal {
	if g.Recurrence == "" && g.Rollover == nil {
		return nil
	}
	r := &renewal{amount: g.Amount, next: never, rollover: rolloverOf(g.Rollover), index: -1}
	r.every, _ = parsePeriod(g.Recurrence)
	return r
}

// renews reports whether a boundary may give g credits again once it is spent.
func (g *grant) renews() bool {
	return g.renewal != nil && (g.renewal.next != never || !g.renewal.every.some() && g.renewal.rollover.min > 0)
}

// recursAt is when g recurs next, never if it does not.
func (g *grant) recursAt() micros {
	if g.renewal == nil {
		return never
	}
	return g.renewal.next
}

// rests reports whether g is spent and waits to be renewed.
func (g *grant) rests() bool { return g.renewal != nil && g.renewal.resting }

// due is when the next grant recurs.
func (r *renewing) due() micros {
	if r == nil || len(r.recurring) == 0 {
		return never
	}
	return r.recurring[0].renewal.next
}

// asleep are the grants that rest.
func (r *renewing) asleep() queue[*grant, byRest] {
	if r == nil {
		return nil
	}
	return r.resting
}

// watchRenewal has boundaries renew a grant that took effect at an instant.
func (a *account) watchRenewal(g *grant, at micros) {
	r := g.renewal
	if r == nil {
		return
	}
	if r.every.some() {
		_, end := r.every.around(g.effective, at)
		g.recurAt(end)
	}
	a.enqueueRenewal(g)
}

// recurAt sets when g recurs next, if that is before it expires.
func (g *grant) recurAt(next micros) {
	if g.renewal.next = never; next < g.expires {
		g.renewal.next = next
	}
}

func (a *account) enqueueRenewal(g *grant) {
	if a.renewing == nil {
		a.renewing = &renewing{}
	}
	switch {
	case g.renewal.next != never:
		a.renewing.recurring.push(g)
	case !g.renewal.every.some():
		a.renewing.rolling.push(g)
	}
}

func (a *account) unwatchRenewal(g *grant) {
	r := g.renewal
	switch {
	case r == nil || r.index < 0:
		return
	case r.every.some():
		a.renewing.recurring.remove(int(r.index))
	default:
		a.renewing.rolling.remove(int(r.index))
	}
	r.index = -1
}

// rest takes a spent grant out of those that are drawn.
func (a *account) rest(g *grant) {
	a.active.remove(int(g.index))
	g.renewal.resting = true
	a.renewing.resting.push(g)
}

// wake puts a grant that rests among those that are drawn again.
func (a *account) wake(g *grant) {
	a.renewing.resting.remove(int(g.index))
	g.renewal.resting = false
	a.active.push(g)
}

// turn is how often g was renewed.
func (g *grant) turn() uint64 {
	if g == nil || g.renewal == nil {
		return 0
	}
	return g.renewal.turn
}

// recur starts a grant over: what is left is lost or rolled over, and its
// amount is granted again. Of intervals that went by unnoticed the last one
// counts. A grant that would overflow the account's totals goes on as it is.
func (x *step) recur(g *grant, at micros) {
	a, r := x.account, g.renewal
	start, end := r.every.around(g.effective, min(x.now, g.expires-1))
	if start > at {
		r.next = start
		a.renewing.recurring.fix(int(r.index))
		return
	}
	a.unwatchRenewal(g)
	g.recurAt(end)
	a.enqueueRenewal(g)
	kept := r.rollover.carried(g.remaining)
	if _, err := a.granted.Add(r.amount + max(0, kept-g.remaining)); err != nil {
		if g.rests() && !g.renews() {
			x.close(g, spent)
		}
		return
	}
	p := x.begin(PostingRecur, at)
	x.renew(p, g, kept+r.amount, r.amount+max(0, kept-g.remaining), max(0, g.remaining-kept))
	g.amount = kept + r.amount
	x.replenished(p)
	x.end(p)
}

// rollOthers rolls over, at a new period, the grants of an account that have a
// rollover but no recurrence: older ones first.
func (x *step) rollOthers(at micros) {
	a := x.account
	if a.renewing == nil {
		return
	}
	var grants []*grant
	for g := range a.renewing.rolling.inOrder() {
		grants = append(grants, g)
	}
	for _, g := range grants {
		kept := g.renewal.rollover.carried(g.remaining)
		if _, err := a.granted.Add(max(0, kept-g.remaining)); err != nil || kept == g.remaining {
			continue
		}
		p := x.begin(PostingRollover, at)
		a.cycle.outlived -= max(0, g.remaining-kept)
		x.renew(p, g, kept, max(0, kept-g.remaining), max(0, g.remaining-kept))
		x.replenished(p)
		x.end(p)
	}
}

// renew makes left what remains of g, by granting and by expiring.
func (x *step) renew(p *Posting, g *grant, left, granted, lost events.Credits) {
	a := x.account
	p.Grant, p.Granted, p.Expired = g.id, granted, lost
	a.granted += granted
	a.expired += lost
	a.drawable += granted - lost
	g.remaining = left
	g.renewal.turn++
	if g.rests() {
		a.wake(g)
	}
	if a.cycle != nil && a.cycle.running {
		a.cycle.granted += granted
	}
}

// replenished lets new credits pay for what is owed, before anything else does.
func (x *step) replenished(p *Posting) {
	x.repay(p)
	x.account.topped = x.account.drawable
	x.account.rebase()
}
