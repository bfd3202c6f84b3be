package ledger

import (
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	// holdMemory is how long after its expiry a hold that ended is remembered, so
	// that commands about it that are repeated get the same answer.
	holdMemory = micros(time.Hour / time.Microsecond)
	// holdSpan is the span of expiries that are forgotten together.
	holdSpan = micros(15 * time.Minute / time.Microsecond)
)

// endedHolds are those that ended, by the span in which they expire, the
// earliest first.
type endedHolds struct {
	spans []endedSpan
	last  micros // when the last of them expires
}

type endedSpan struct {
	start micros
	holds map[digest]endedHold // by the digest of their id
}

// endedHold is what is remembered of a hold that ended: 32 bytes beside its key.
type endedHold struct {
	amount, captured events.Credits
	expires          uint32 // microseconds behind the span's start
	state            byte   // in holdStates
	content          [11]byte
}

// asks reports whether content is that of the command that placed h.
func (h *hold) asks(content digest) bool {
	if h.state != events.HoldOpen {
		clear(content[len(endedHold{}.content):])
	}
	return h.content == content
}

// remember takes in a hold that ended.
func (e *endedHolds) remember(h *hold) {
	start := h.expires / holdSpan * holdSpan
	if h.expires < start {
		start -= holdSpan // before 1970
	}
	if len(e.spans) == 0 || h.expires > e.last {
		e.last = h.expires
	}
	one := endedHold{
		amount: h.amount, captured: h.captured, expires: uint32(h.expires - start),
		state: byte(slices.Index(holdStates, h.state)),
	}
	copy(one.content[:], h.content[:])
	i, found := slices.BinarySearchFunc(e.spans, start, func(s endedSpan, start micros) int { return int(min(1, max(-1, s.start-start))) })
	if !found {
		e.spans = slices.Insert(e.spans, i, endedSpan{start, map[digest]endedHold{}})
	}
	e.spans[i].holds[digestOf([]byte(h.id))] = one
}

// find returns the hold of that id, or nil when it is none of them or so long
// expired that it is forgotten.
func (e *endedHolds) find(id string, now micros) *hold {
	if len(e.spans) == 0 {
		return nil
	}
	key := digestOf([]byte(id))
	for _, s := range slices.Backward(e.spans) {
		if one, ok := s.holds[key]; ok && s.start+micros(one.expires)+holdMemory > now {
			return one.hold(id, s.start)
		}
	}
	return nil
}

func (e endedHold) hold(id string, start micros) *hold {
	h := &hold{
		id: id, amount: e.amount, captured: e.captured, expires: start + micros(e.expires), state: holdStates[e.state],
	}
	copy(h.content[:], e.content[:])
	return h
}

// forgotten is when nothing will be remembered any more of the holds that
// ended: one look then is enough.
func (h *holds) forgotten() micros {
	if h == nil || len(h.ended.spans) == 0 {
		return never
	}
	return h.ended.last + holdMemory
}

// forget drops the spans of which nothing is remembered any more.
func (h *holds) forget(now micros) {
	if h == nil {
		return
	}
	e := &h.ended
	if h.forgotten() <= now {
		e.spans = nil
	}
	for len(e.spans) > 0 && e.spans[0].start+holdSpan+holdMemory <= now {
		e.spans = slices.Delete(e.spans, 0, 1)
	}
}
