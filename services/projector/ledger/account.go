package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// account is the state of one account. What remains of its grants is not
// stored: it follows from the totals.
type account struct {
	id       string
	settings *settings       // nil until set
	waiting  *events.Account // settings from the end of the running period on; mostly nil
	terms    *terms          // in effect; shared by the accounts that have the same
	cycle    *cycle          // its periods; nil until its terms have some

	granted, drawn, expired, voided events.Credits
	charged, forgiven, overage      events.Credits
	drawable                        events.Credits // what remains of active grants
	topped                          events.Credits // drawable right after a grant last took effect

	active   queue[*grant, byDraw]
	expiring queue[*grant, byExpiry]    // the active ones that expire
	pending  queue[*grant, byEffective] // not yet active
	renewing *renewing                  // those of them that change at a boundary; mostly nil
	issued   uint64                     // grants ever issued

	holds   *holds    // nil until one was placed
	budgets []*budget // one for each of terms.limits

	topUps *topUps // nil until one was requested

	uses *uses // of grants and overage by debits; nil until there was one

	levels []level // one for each of terms.levels

	clock  clock
	at     micros // of the last entry, as recorded
	number uint64 // postings so far

	due      micros // when time next changes the account
	dueIndex int32  // in State.due
}

func newAccount(id string) *account {
	a := &account{id: id, clock: newClock(), due: never}
	a.adopt(defaultTerms)
	return a
}

func (a *account) remaining() events.Credits {
	return a.granted - a.drawn - a.expired - a.voided
}

// began reports whether a was ever granted or charged anything.
func (a *account) began() bool { return a.granted != 0 || a.charged != 0 || a.uses.some() }

// available is what may be spent or held now.
func (a *account) available() events.Credits { return max(0, a.drawable-a.held()) }

// step is one entry on its way through an account.
type step struct {
	state    *State
	account  *account
	point    Point
	entry    events.Entry // by value: a pointer would put every entry on the heap
	now      micros       // the account's time
	prorated bool         // the period that this entry starts is granted its share
	follows  bool         // the period that starts next follows one that ended
	cause    *events.Cause
	postings []Posting
}

// applyTo lets time pass for a and then applies e to it.
func (s *State) applyTo(a *account, p Point, e events.Entry, postings []Posting) (events.Decision, []Posting) {
	from := a.clock.now
	now, ok := a.clock.advance(p)
	if !ok {
		return unchanged, postings
	}
	a.at = microsOf(p.Time)
	x := step{state: s, account: a, point: p, entry: e, now: now, postings: postings}
	x.catchUp(from)
	decision := x.apply()
	if decision.Outcome != events.Applied {
		posting := x.begin(PostingKind(e.Kind), now)
		posting.Refused = decision.Code
		if e.Kind == events.EntryDebit || e.Kind == events.EntryCorrection {
			a.chargesNothing(x.place())
		}
		x.end(posting)
	}
	x.requestTopUp()
	s.schedule(a, a.nextDue())
	return decision, x.postings
}

// apply applies the entry itself. It changes and posts something only if it
// returns applied.
func (x *step) apply() events.Decision {
	e := &x.entry
	switch {
	case e.Kind == events.EntryDebit && e.Debit != nil:
		return x.debit(e.Debit)
	case e.Kind == events.EntryGrant && e.Grant != nil:
		return x.grant(e.Grant)
	case e.Kind == events.EntryVoid && e.Void != nil:
		return x.void(e.Void)
	case e.Kind == events.EntryHold && e.Hold != nil:
		return x.hold(e.Hold)
	case e.Kind == events.EntryCapture && e.Capture != nil:
		return x.capture(e.Capture)
	case e.Kind == events.EntryRelease && e.Release != nil:
		return x.release(e.Release)
	case e.Kind == events.EntryAdjust && e.Adjust != nil:
		return x.adjust(e.Adjust)
	case e.Kind == events.EntryDecline && e.Decline != nil:
		return x.decline(e.Decline)
	case e.Kind == events.EntryCorrection && e.Correction != nil:
		return x.correct(e.Correction)
	case e.Kind == events.EntryAccount && e.Settings != nil:
		return x.set(*e.Settings)
	case e.Kind == events.EntryTick:
		x.end(x.begin(PostingTick, x.now))
		return applied
	}
	return refuse(events.RefusedInvalid, "the entry has no content of its kind, or a kind that is not known")
}

// begin appends a posting. The pointer is good until the next begin, by which
// time end must have completed it.
func (x *step) begin(kind PostingKind, at micros) *Posting {
	var p *Posting
	x.postings, p = grow(x.postings)
	x.account.number++
	p.Kind = kind
	p.Account = x.account.id
	p.Number = x.account.number
	p.At = at.time()
	return p
}

// end completes p with the account as it now stands.
func (x *step) end(p *Posting) {
	a := x.account
	p.Available = a.available()
	p.Held = a.held()
	p.Overage = a.overage
	p.Remaining = a.remaining()
	x.evaluate()
}

// grow appends an empty posting that takes over the Draws buffer of whatever
// stood in its place before.
func grow(postings []Posting) ([]Posting, *Posting) {
	n := len(postings)
	if n == cap(postings) {
		postings = append(postings, Posting{})
	} else {
		postings = postings[:n+1]
		postings[n] = Posting{Draws: postings[n].Draws[:0]}
	}
	return postings, &postings[n]
}

var (
	applied   = events.Decision{Outcome: events.Applied}
	unchanged = events.Decision{Outcome: events.Unchanged}
)

func refuse(code, detail string) events.Decision {
	return events.Decision{Outcome: events.Refused, Code: code, Detail: detail}
}
