package ledger

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// topUpRule is events.TopUp made ready to be applied; the zero rule is none.
type topUpRule struct {
	below, amount     events.Credits
	atMost            int
	cooldown, timeout micros
}

// topUps are the requests of one account for a top-up.
type topUps struct {
	requested uint64           // ever; the last one is topup:<account>:<requested>
	recent    []topUpRequested // the last of them, at most events.MaxTopUpsPerPeriod, oldest first
	pending   *topUpPending    // the last of recent, until it ends
}

// topUpRequested is what is remembered of a request.
type topUpRequested struct {
	at  micros
	end topUpEnd
}

// topUpEnd says how a request ended.
type topUpEnd uint8

const (
	topUpOpen topUpEnd = iota
	topUpGranted
	topUpDeclined
	topUpTimedOut
)

// topUpPending is what a request asks for while it pends.
type topUpPending struct {
	amount, below events.Credits
	expires       micros
	since         *events.Cause
}

// topUpRuleOf reads a checked rule; nil is none, and so is one of 0 requests.
func topUpRuleOf(t *events.TopUp) topUpRule {
	if t == nil || t.AtMostPerPeriod == 0 {
		return topUpRule{}
	}
	cooldown, timeout := t.Waits()
	return topUpRule{
		below: t.Below, amount: t.Amount, atMost: t.AtMostPerPeriod,
		cooldown: micros(cooldown / time.Microsecond), timeout: micros(timeout / time.Microsecond),
	}
}

func (r topUpRule) some() bool { return r.atMost > 0 }

// checkTopUp returns what is wrong with a rule, or "".
func checkTopUp(t *events.TopUp) string {
	if t == nil {
		return ""
	}
	if err := t.Validate(); err != nil {
		return "top_up: " + err.Error()
	}
	return ""
}

// requestTopUp looks, once an entry and all that was due before it happened,
// whether a top-up is to be requested, and requests it. Credits that come and go
// at one instant are no reason.
func (x *step) requestTopUp() {
	a := x.account
	if !a.lowForTopUp() || a.topUpFrom() > x.now {
		return
	}
	if a.topUps == nil {
		a.topUps = &topUps{}
	}
	t, rule := a.topUps, a.terms.topUp
	t.requested++
	if t.recent = append(t.recent, topUpRequested{at: x.now}); len(t.recent) > events.MaxTopUpsPerPeriod {
		t.recent = append(t.recent[:0], t.recent[1:]...)
	}
	t.pending = &topUpPending{amount: rule.amount, below: rule.below, expires: x.now + rule.timeout, since: x.causeOf()}
}

// lowForTopUp reports whether a lacks the credits that its terms have topped up
// and nobody was asked for them. An account that was never granted or charged
// anything has not begun.
func (a *account) lowForTopUp() bool {
	return a.terms.topUp.some() && a.available() < a.terms.topUp.below && a.began() &&
		(a.topUps == nil || a.topUps.pending == nil)
}

// topUpFrom is from when on the terms of a allow a request, as far as cooldown
// and number go.
func (a *account) topUpFrom() micros {
	if a.topUps == nil {
		return since
	}
	last := a.topUps.recent[len(a.topUps.recent)-1]
	return max(last.at+a.terms.topUp.cooldown, a.topUpsUsedUntil())
}

// topUpsUsedUntil is how long there may be no further request because of their
// number. Those count that were made since the running period, or without one
// the UTC calendar month, began.
func (a *account) topUpsUsedUntil() micros {
	atMost := a.terms.topUp.atMost
	if a.topUps == nil || len(a.topUps.recent) < atMost {
		return since
	}
	first := a.topUps.recent[len(a.topUps.recent)-atMost].at // of the last that are allowed in one period
	c := a.cycle
	switch {
	case c == nil || !c.running:
		return nextMonth(first)
	case first >= c.start:
		return c.end
	}
	return since
}

// nextMonth is when the UTC calendar month after that of m begins.
func nextMonth(m micros) micros {
	t := m.time()
	return microsOf(time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC))
}

// topUpDue is when time next ends or allows a request.
func (a *account) topUpDue() micros {
	switch {
	case a.topUps != nil && a.topUps.pending != nil:
		return a.topUps.pending.expires
	case a.lowForTopUp():
		return a.topUpFrom()
	}
	return never
}

// timeOut ends the request that pends when it has waited long enough by now.
func (t *topUps) timeOut(now micros) {
	if t != nil && t.pending != nil && t.pending.expires <= now {
		t.endPending(topUpTimedOut)
	}
}

func (t *topUps) endPending(how topUpEnd) {
	t.recent[len(t.recent)-1].end = how
	t.pending = nil
}

// answerTopUp ends the request that a grant which was just issued names, if that
// one pends. The grant stays whatever it names: it was paid for.
func (a *account) answerTopUp(id string) events.TopUpAnswer {
	t := a.topUps
	if t == nil || t.pending == nil || events.TopUpNumber(a.id, id) != t.requested {
		return events.TopUpNotPending
	}
	t.endPending(topUpGranted)
	return events.TopUpAnswered
}

// decline decides a command to end a request without a payment.
func (x *step) decline(content *events.Decline) events.Decision {
	if err := content.Validate(); err != nil {
		return refuse(events.RefusedInvalid, err.Error())
	}
	t := x.account.topUps
	requested, ok := t.find(events.TopUpNumber(x.account.id, content.TopUp))
	switch {
	case !ok:
		return refuse(events.RefusedNotFound, "the account has no request for a top-up with this id, or it is one of long ago")
	case requested.end == topUpDeclined:
		return unchanged
	case requested.end == topUpGranted:
		return refuse(events.RefusedAnswered, "a grant answered the request")
	case requested.end == topUpTimedOut:
		return refuse(events.RefusedExpired, "the request has expired")
	}
	t.endPending(topUpDeclined)
	x.end(x.begin(PostingDecline, x.now))
	return applied
}

// find returns the n-th request, if it is remembered.
func (t *topUps) find(n uint64) (topUpRequested, bool) {
	if t == nil || n == 0 || n > t.requested || t.requested-n >= uint64(len(t.recent)) {
		return topUpRequested{}, false
	}
	return t.recent[len(t.recent)-1-int(t.requested-n)], true
}

// balanceTopUp returns where auto top-up stands for a Balance, or nil.
func (a *account) balanceTopUp() *events.TopUpBalance {
	t := a.topUps
	if t != nil && t.pending != nil {
		cause := *t.pending.since
		return &events.TopUpBalance{State: events.TopUpPending, Since: &cause, Request: &events.TopUpRequest{
			ID: events.TopUpID(a.id, t.requested), Amount: t.pending.amount, Below: t.pending.below,
			RequestedAt: t.recent[len(t.recent)-1].at.time(), ExpiresAt: t.pending.expires.time(),
		}}
	}
	if !a.terms.topUp.some() {
		return nil
	}
	b := &events.TopUpBalance{State: events.TopUpAvailable}
	if from := a.topUpFrom(); from > a.clock.now {
		b.NextAt = from.time()
	}
	if a.topUpsUsedUntil() > a.clock.now {
		b.State = events.TopUpNone
	}
	return b
}
