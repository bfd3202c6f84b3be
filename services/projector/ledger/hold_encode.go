package ledger

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// holdStates are written, and kept of a hold that ended, as their index.
var holdStates = []events.HoldState{events.HoldOpen, events.HoldCaptured, events.HoldReleased, events.HoldExpired}

// holds writes the holds of an account in the order they were placed, then what
// is remembered of those that ended, by when they expire.
func (e *stateEncoder) holds(h *holds, now micros) {
	open := slices.SortedFunc(slices.Values(h.open), func(a, b *hold) int { return cmp.Compare(a.order, b.order) })
	e.uvarint(h.placed)
	e.uvarint(uint64(len(open)))
	var next uint64
	for _, one := range open {
		e.uvarint(one.order - next)
		next = one.order + 1
		e.openHold(one, now)
		e.pause()
	}
	for _, span := range h.ended.spans {
		e.endedSpan(span, now)
	}
	e.uvarint(0)
}

func (e *stateEncoder) openHold(h *hold, now micros) {
	e.text(h.id)
	e.uvarint(uint64(h.amount))
	e.varint(int64(h.expires - now))
	e.bytes(h.content[:])
	e.text(h.scopes.project)
	e.text(h.scopes.key)
	e.uvarint(uint64(len(h.scopes.attributes)))
	for _, name := range slices.Sorted(maps.Keys(h.scopes.attributes)) {
		e.text(name)
		e.text(h.scopes.attributes[name])
	}
}

// endedSpan writes those of a span that are not forgotten yet, in the order of
// their keys, if there are any.
func (e *stateEncoder) endedSpan(s endedSpan, now micros) {
	var keys []digest
	for key, one := range s.holds {
		if s.start+micros(one.expires)+holdMemory > now {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.SortFunc(keys, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	e.uvarint(uint64(len(keys)))
	e.varint(int64(s.start / holdSpan))
	for _, key := range keys {
		one := s.holds[key]
		e.bytes(key[:])
		e.byte(one.state)
		e.uvarint(uint64(one.amount))
		e.uvarint(uint64(one.expires))
		e.bytes(one.content[:])
		if holdStates[one.state] == events.HoldCaptured {
			e.uvarint(uint64(one.captured))
		}
		e.pause()
	}
}

// holds reads the holds of an account.
func (d *stateDecoder) holds(a *account) {
	h := &holds{byID: map[string]*hold{}, placed: d.uvarint()}
	d.check(h.placed > 0, "holds of an account")
	var next uint64
	n := d.uvarint()
	d.check(n <= openHoldsMax, "holds of an account")
	for ; n > 0 && d.err == nil; n-- {
		one := &hold{order: next + d.uvarint(), state: events.HoldOpen}
		d.check(one.order >= next && one.order < h.placed, "order of a hold")
		next = one.order + 1
		d.openHold(one, a.clock.now)
		d.check(events.ValidHoldID(one.id) && h.byID[one.id] == nil, "id of a hold")
		if d.err != nil {
			return
		}
		h.add(one)
		d.check(h.held >= 0, "amount of a hold")
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n = d.uvarint() {
		d.endedSpan(&h.ended, n, a.clock.now)
	}
	a.holds = h
}

func (d *stateDecoder) openHold(h *hold, now micros) {
	h.id = d.text()
	h.amount = d.credits()
	d.check(h.amount > 0 && h.amount <= events.MaxCredits, "amount of a hold")
	h.expires = now + micros(d.varint())
	d.check(h.expires > now && h.expires <= now+holdLifeMax, "end of a hold")
	copy(h.content[:], d.bytes(len(h.content)))
	h.scopes = scopes{project: d.text(), key: d.text()}
	last := ""
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		name := d.text()
		d.check(last < name, "attribute of a hold")
		if last = name; h.scopes.attributes == nil {
			h.scopes.attributes = map[string]string{}
		}
		h.scopes.attributes[name] = d.text()
	}
}

const holdLifeMax = micros(events.MaxHoldLife / time.Microsecond)

// endedSpan reads n holds that ended.
func (d *stateDecoder) endedSpan(e *endedHolds, n uint64, now micros) {
	number := d.varint()
	limit := int64((now + holdLifeMax) / holdSpan)
	d.check(number >= int64((now-holdMemory)/holdSpan)-1 && number <= limit, "end of a hold")
	s := endedSpan{start: micros(number) * holdSpan, holds: map[digest]endedHold{}}
	d.check(len(e.spans) == 0 || e.spans[len(e.spans)-1].start < s.start, "order of the holds")
	var last digest
	for i := uint64(0); i < n && d.err == nil; i++ {
		var key digest
		copy(key[:], d.bytes(len(key)))
		d.check(i == 0 || bytes.Compare(last[:], key[:]) < 0, "order of the holds")
		last = key
		one := d.endedHold()
		expires := s.start + micros(one.expires)
		d.check(expires+holdMemory > now && expires <= now+holdLifeMax, "end of a hold")
		if len(e.spans) == 0 && i == 0 || expires > e.last {
			e.last = expires
		}
		s.holds[key] = one
	}
	e.spans = append(e.spans, s)
}

func (d *stateDecoder) endedHold() endedHold {
	one := endedHold{state: d.byte(), amount: d.credits()}
	d.check(one.state > 0 && int(one.state) < len(holdStates), "state of a hold")
	d.check(one.amount > 0 && one.amount <= events.MaxCredits, "amount of a hold")
	expires := d.uvarint()
	d.check(expires < uint64(holdSpan), "end of a hold")
	one.expires = uint32(expires)
	copy(one.content[:], d.bytes(len(one.content)))
	if d.err == nil && holdStates[one.state] == events.HoldCaptured {
		one.captured = d.credits()
		d.check(one.captured > 0 && one.captured <= events.MaxCredits, "charge of a hold")
	}
	return one
}
