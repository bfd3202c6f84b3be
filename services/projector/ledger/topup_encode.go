package ledger

import (
	"encoding/binary"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// appendTopUp appends what a rule says.
func appendTopUp(b []byte, r topUpRule) []byte {
	for _, n := range [...]uint64{uint64(r.below), uint64(r.amount), uint64(r.atMost), uint64(r.cooldown), uint64(r.timeout)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// parseTopUp reads what appendTopUp appends, number by number. What it returns
// may not be sound.
func parseTopUp(number func() uint64) topUpRule {
	return topUpRule{
		below: events.Credits(number()), amount: events.Credits(number()), atMost: int(number()),
		cooldown: micros(number()), timeout: micros(number()),
	}
}

// sound reports whether r is one that topUpRuleOf returns.
func (r topUpRule) sound() bool {
	const least, most = micros(events.MinTopUpWait / time.Microsecond), micros(events.MaxTopUpWait / time.Microsecond)
	return !r.some() || between(r.below) && r.below > 0 && between(r.amount) && r.amount > 0 &&
		r.atMost >= 1 && r.atMost <= events.MaxTopUpsPerPeriod &&
		r.cooldown >= least && r.cooldown <= most && r.timeout >= least && r.timeout <= most
}

// topUps writes the requests of an account that stands at.
func (e *stateEncoder) topUps(t *topUps, at clock) {
	e.uvarint(t.requested)
	e.uvarint(uint64(len(t.recent)))
	last := at.now
	for _, r := range t.recent {
		e.varint(int64(r.at - last))
		e.byte(byte(r.end))
		last = r.at
	}
	if p := t.pending; p != nil {
		e.uvarint(uint64(p.amount))
		e.uvarint(uint64(p.below))
		e.uvarint(uint64(p.expires - last))
		e.cause(p.since, at)
	}
}

// topUps reads the requests of an account.
func (d *stateDecoder) topUps(a *account) {
	t := &topUps{requested: d.uvarint()}
	n := d.uvarint()
	d.check(n == min(t.requested, events.MaxTopUpsPerPeriod) && n > 0, "top-ups of an account")
	last := a.clock.now
	for i := uint64(0); i < n && d.err == nil; i++ {
		r := topUpRequested{at: last + micros(d.varint()), end: topUpEnd(d.byte())}
		d.check((i == 0 || r.at >= last) && r.at <= a.clock.now, "time of a top-up")
		d.check(r.end <= topUpTimedOut && (r.end != topUpOpen || i == n-1), "end of a top-up")
		t.recent, last = append(t.recent, r), r.at
	}
	if d.err == nil && t.recent[n-1].end == topUpOpen {
		p := &topUpPending{amount: d.credits(), below: d.credits()}
		wait := micros(d.uvarint())
		d.check(topUpRule{below: p.below, amount: p.amount, atMost: 1, cooldown: wait, timeout: wait}.sound(), "a top-up that pends")
		p.expires, p.since = last+wait, d.cause(a.clock)
		t.pending = p
	}
	a.topUps = t
}
