package ledger

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// openHoldsMax bounds the open holds of an account.
const openHoldsMax = 10_000

// hold is a reservation, or what is remembered of one that ended.
type hold struct {
	id       string
	amount   events.Credits
	expires  micros
	order    uint64 // among the account's holds; 0 once it ended, as the rest here
	content  digest
	state    events.HoldState
	captured events.Credits // what its capture charged
	scopes   scopes         // of the work
	index    int32          // in holds.open
}

// scopes are what budgets match: those of a usage event or of a hold.
type scopes struct {
	project, key string
	attributes   map[string]string
}

// holds are those of one account. The methods of nil are those of none.
type holds struct {
	byID   map[string]*hold // the open ones
	open   queue[*hold, byHoldExpiry]
	ended  endedHolds
	held   events.Credits // the sum of the open ones
	placed uint64         // ever
}

// byHoldExpiry is the order in which holds expire.
type byHoldExpiry struct{}

func (byHoldExpiry) before(a, b *hold) bool {
	if a.expires != b.expires {
		return a.expires < b.expires
	}
	return a.order < b.order
}

func (byHoldExpiry) moved(h *hold, index int) { h.index = int32(index) }

// held is the sum of the account's open holds.
func (a *account) held() events.Credits {
	if a.holds == nil {
		return 0
	}
	return a.holds.held
}

// due is when the next hold expires.
func (h *holds) due() micros {
	if h == nil || len(h.open) == 0 {
		return never
	}
	return h.open[0].expires
}

// add takes in a hold that is open.
func (h *holds) add(one *hold) {
	h.byID[one.id] = one
	h.open.push(one)
	h.held += one.amount
}

// end ends an open hold.
func (h *holds) end(one *hold, state events.HoldState) {
	h.open.remove(int(one.index))
	delete(h.byID, one.id)
	h.held -= one.amount
	one.state, one.scopes = state, scopes{}
	h.ended.remember(one)
}

// list returns the first open holds, and how many more there are.
func (h *holds) list() (list []events.HoldBalance, more int) {
	if h == nil || len(h.open) == 0 {
		return nil, 0
	}
	for one := range h.open.inOrder() {
		if len(list) == events.BalanceHoldsMax {
			break
		}
		list = append(list, *one.balance())
	}
	return list, len(h.open) - len(list)
}

func (h *hold) balance() *events.HoldBalance {
	return &events.HoldBalance{
		ID: h.id, Amount: h.amount, ExpiresAt: h.expires.time(), State: h.state, Captured: h.captured,
		Project: h.scopes.project, Key: h.scopes.key,
	}
}

// about adds to a decision the hold that it is about.
func (h *hold) about(d events.Decision) events.Decision {
	d.Hold = h.balance()
	return d
}

// hold decides a command to place a hold. It is where two that race for the
// last credits are told apart: by their order in the ledger.
func (x *step) hold(content *events.Hold) events.Decision {
	a := x.account
	if err := content.Validate(); err != nil {
		return refuse(events.RefusedInvalid, err.Error())
	}
	sum := holdDigest(content)
	if known := x.find(content.ID); known != nil {
		if known.asks(sum) {
			return known.about(unchanged)
		}
		return refuse(events.RefusedConflict, "the account has another hold "+content.ID+", with other content: give this one an id of its own")
	}
	if a.holds != nil && len(a.holds.open) >= openHoldsMax {
		return refuse(events.RefusedTooMany, "the account has 10000 open holds; expected some of them to be captured, released or to expire first")
	}
	if short := x.shortage(content); short != nil {
		d := refuse(events.RefusedInsufficient, "the hold needs "+short.Required.String()+" credits, and "+short.Scope+" has "+short.Available.String())
		d.Shortage = short
		return d
	}
	if a.holds == nil {
		a.holds = &holds{byID: map[string]*hold{}}
	}
	h := &hold{
		id: content.ID, amount: content.Amount, expires: x.now + micros(content.Life()/time.Microsecond),
		order: a.holds.placed, content: sum, state: events.HoldOpen,
		scopes: scopes{project: content.Project, key: content.Key, attributes: content.Attributes},
	}
	p := x.begin(PostingHold, x.now)
	p.Hold = h.id
	a.holds.placed++
	a.holds.add(h)
	a.reserve(h.scopes, h.amount)
	x.end(p)
	return h.about(applied)
}

// shortage returns why a hold does not fit, or nil.
func (x *step) shortage(content *events.Hold) *events.Shortage {
	a := x.account
	work := scopes{project: content.Project, key: content.Key, attributes: content.Attributes}
	if short := a.refusing(work, content.Amount); short != nil {
		return short // a budget is narrower than the account
	}
	if content.Amount <= a.available() {
		return nil
	}
	short := &events.Shortage{Scope: events.ScopeAccount, Available: a.available(), Required: content.Amount}
	if x.fitsNextPeriod(content.Amount) {
		short.ResetsAt = a.cycle.end.time()
	}
	return short
}

// capture decides a command to charge for work that a hold was placed for.
func (x *step) capture(content *events.Capture) events.Decision {
	a := x.account
	if err := content.Validate(); err != nil {
		return refuse(events.RefusedInvalid, err.Error())
	}
	h := x.find(content.Hold)
	switch {
	case h == nil:
		return refuse(events.RefusedNotFound, noSuchHold)
	case h.state == events.HoldCaptured && h.captured == content.Amount:
		return h.about(unchanged)
	case h.state != events.HoldOpen:
		return h.ended()
	case content.Amount > h.amount && !a.terms.captureMore:
		return h.about(refuse(events.RefusedInvalid, "amount: the hold is of "+h.amount.String()+" credits, and the account's terms do not let a capture charge more"))
	}
	charged, err := a.charged.Add(content.Amount)
	if err != nil {
		return h.about(refuse(events.RefusedOverflow, "all that was ever charged would overflow"))
	}
	p := x.begin(PostingCapture, x.now)
	p.Hold, p.Charged = h.id, content.Amount
	a.charged = charged
	h.captured = content.Amount
	work := h.scopes
	a.endHold(h, events.HoldCaptured)
	x.cover(p, content.Amount)
	x.spend(work, content.Amount)
	x.end(p)
	return h.about(applied)
}

// release decides a command to end a hold without a charge.
func (x *step) release(content *events.Release) events.Decision {
	if err := content.Validate(); err != nil {
		return refuse(events.RefusedInvalid, err.Error())
	}
	h := x.find(content.Hold)
	switch {
	case h == nil:
		return refuse(events.RefusedNotFound, noSuchHold)
	case h.state == events.HoldReleased:
		return h.about(unchanged)
	case h.state != events.HoldOpen:
		return h.ended()
	}
	x.endHold(PostingRelease, h, events.HoldReleased, x.now)
	return h.about(applied)
}

// expireHold ends the hold that expires first.
func (x *step) expireHold(at micros) {
	x.endHold(PostingHoldExpire, x.account.holds.open[0], events.HoldExpired, at)
}

// endHold ends an open hold, also in the budgets that it matches.
func (a *account) endHold(h *hold, state events.HoldState) {
	a.reserve(h.scopes, -h.amount)
	a.holds.end(h, state)
}

func (x *step) endHold(kind PostingKind, h *hold, state events.HoldState, at micros) {
	p := x.begin(kind, at)
	p.Hold = h.id
	x.account.endHold(h, state)
	x.end(p)
}

const noSuchHold = "the account has no hold with this id, or it ended more than an hour ago"

// find returns a hold by its id, or nil when there is none or it is forgotten.
func (x *step) find(id string) *hold {
	h := x.account.holds
	if h == nil {
		return nil
	}
	if one := h.byID[id]; one != nil {
		return one
	}
	return h.ended.find(id, x.now)
}

// ended refuses a command about a hold that ended in another way.
func (h *hold) ended() events.Decision {
	switch h.state {
	case events.HoldCaptured:
		return h.about(refuse(events.RefusedCaptured, "the hold was captured with "+h.captured.String()+" credits"))
	case events.HoldReleased:
		return h.about(refuse(events.RefusedReleased, "the hold was released"))
	}
	return h.about(refuse(events.RefusedExpired, "the hold expired at "+timeText(h.expires)))
}

// holdDigest is the same for two commands that ask for the same hold. It is
// part of an encoded state: a change of it changes encodingVersion.
func holdDigest(h *events.Hold) digest {
	b := make([]byte, 0, 512)
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendVarint(b, int64(h.Amount))
	b = binary.AppendVarint(b, int64(h.Life()/time.Microsecond))
	text(h.Project)
	text(h.Key)
	for _, name := range slices.Sorted(maps.Keys(h.Attributes)) {
		text(name)
		text(h.Attributes[name])
	}
	return digestOf(b)
}
