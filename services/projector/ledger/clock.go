package ledger

import (
	"math"
	"time"
)

// micros is an instant in microseconds since 1970, the ledger's resolution.
type micros int64

const (
	never = micros(math.MaxInt64) // after every instant
	since = micros(math.MinInt64) // before every instant
)

func microsOf(t time.Time) micros { return micros(t.UnixMicro()) }

// time returns m in UTC, and the zero time for never.
func (m micros) time() time.Time {
	if m == never {
		return time.Time{}
	}
	return time.UnixMicro(int64(m)).UTC()
}

// storable reports whether JSON can write t.
func storable(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

// place is the last entry applied, by which a redelivery is told.
type place struct {
	sequence uint64
	index    int
}

// before reports whether l stands before other.
func (l place) before(other place) bool {
	return l.sequence < other.sequence || l.sequence == other.sequence && l.index < other.index
}

// advance moves to p, or returns false when p is not after the place.
func (l *place) advance(p Point) bool {
	if p.Sequence < l.sequence || (p.Sequence == l.sequence && p.Index <= l.index) {
		return false
	}
	*l = place{sequence: p.Sequence, index: p.Index}
	return true
}

// clock is a place with a time that never goes back.
type clock struct {
	place
	now micros
}

func newClock() clock { return clock{now: since} }

// advance moves to p and returns the time there, or false when p is not after
// the clock's place.
func (c *clock) advance(p Point) (micros, bool) {
	if !c.place.advance(p) {
		return 0, false
	}
	c.now = max(c.now, microsOf(p.Time))
	return c.now, true
}

// timeText is m as a refusal tells it.
func timeText(m micros) string { return m.time().Format(time.RFC3339Nano) }
