package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// renewal writes what boundaries do to a grant.
func (e *stateEncoder) renewal(r *renewal, now micros) {
	e.uvarint(uint64(r.every.months))
	e.uvarint(uint64(r.every.length))
	e.uvarint(uint64(r.amount))
	e.uvarint(r.turn)
	e.uvarint(uint64(r.rollover.min))
	e.uvarint(uint64(r.rollover.max))
	if r.next != never {
		e.varint(int64(r.next - now))
	}
}

// renewal reads what boundaries do to a grant; recurs says that it has a next
// recurrence.
func (d *stateDecoder) renewal(now micros, recurs bool) *renewal {
	r := &renewal{next: never, index: -1}
	r.every.months, r.every.length = int(d.uvarint()), micros(d.uvarint())
	r.amount = d.credits()
	r.turn = d.uvarint()
	r.rollover = rollover{min: d.credits(), max: d.credits()}
	if recurs {
		r.next = now + micros(d.varint())
		d.check(r.next != never && r.every.some(), "recurrence of a grant")
	}
	sound := r.every.sound() && r.rollover.sound(events.MaxCredits) && (r.every.some() || r.rollover.some()) &&
		r.amount > 0 && r.amount <= events.MaxCredits
	d.check(sound, "recurrence of a grant")
	return r
}
