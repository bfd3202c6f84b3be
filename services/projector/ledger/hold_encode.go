package ledger

import (
	"cmp"
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// holdStates are written as their index.
var holdStates = []events.HoldState{events.HoldOpen, events.HoldCaptured, events.HoldReleased, events.HoldExpired}

// holds writes the holds of an account in the order they were placed.
func (e *stateEncoder) holds(h *holds, now micros) {
	all := append(slices.Clone([]*hold(h.open)), h.ended...)
	slices.SortFunc(all, func(a, b *hold) int { return cmp.Compare(a.order, b.order) })
	e.uvarint(h.placed)
	e.uvarint(uint64(len(all)))
	var next uint64
	for _, one := range all {
		e.uvarint(one.order - next)
		next = one.order + 1
		e.hold(one, now)
		e.pause()
	}
}

func (e *stateEncoder) hold(h *hold, now micros) {
	e.byte(byte(slices.Index(holdStates, h.state)))
	e.text(h.id)
	e.uvarint(uint64(h.amount))
	e.varint(int64(h.expires - now))
	e.bytes(h.content[:])
	switch h.state {
	case events.HoldCaptured:
		e.uvarint(uint64(h.captured))
	case events.HoldOpen:
		e.text(h.scopes.project)
		e.text(h.scopes.key)
		e.uvarint(uint64(len(h.scopes.attributes)))
		for _, name := range slices.Sorted(maps.Keys(h.scopes.attributes)) {
			e.text(name)
			e.text(h.scopes.attributes[name])
		}
	}
}

// holds reads the holds of an account.
func (d *stateDecoder) holds(a *account) {
	h := &holds{byID: map[string]*hold{}, placed: d.uvarint()}
	d.check(h.placed > 0, "holds of an account")
	var next uint64
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		one := &hold{order: next + d.uvarint()}
		d.check(one.order >= next && one.order < h.placed, "order of a hold")
		next = one.order + 1
		d.hold(one, a.clock.now)
		d.check(events.ValidHoldID(one.id) && h.byID[one.id] == nil, "id of a hold")
		if d.err != nil {
			return
		}
		if one.state == events.HoldOpen {
			h.add(one)
		} else {
			h.remember(one)
		}
		d.check(h.held >= 0, "amount of a hold")
	}
	a.holds = h
}

func (d *stateDecoder) hold(h *hold, now micros) {
	state := d.byte()
	d.check(int(state) < len(holdStates), "state of a hold")
	h.id = d.text()
	h.amount = d.credits()
	d.check(h.amount > 0 && h.amount <= events.MaxCredits, "amount of a hold")
	h.expires = now + micros(d.varint())
	d.check(h.expires < never-holdMemory, "end of a hold")
	copy(h.content[:], d.bytes(len(h.content)))
	if d.err != nil {
		return
	}
	switch h.state = holdStates[state]; h.state {
	case events.HoldCaptured:
		h.captured = d.credits()
		d.check(h.captured > 0 && h.captured <= events.MaxCredits, "charge of a hold")
	case events.HoldOpen:
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
}
