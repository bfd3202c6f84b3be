package ledger

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// period is a length of time between the starts of two periods. The zero
// period is none.
type period struct {
	months int    // whole calendar months
	length micros // of all others
}

func (p period) some() bool { return p != period{} }

// sound reports whether p is one that parsePeriod returns.
func (p period) sound() bool {
	if p.months != 0 {
		return p.length == 0 && p.months > 0 && p.months <= 12
	}
	length := time.Duration(p.length) * time.Microsecond
	return !p.some() || p.length <= micros(events.MaxPeriod/time.Microsecond) && length >= events.MinPeriod
}

// parsePeriod reads what events.ParsePeriod reads; the empty string is no
// period.
func parsePeriod(s string) (p period, ok bool) {
	if s == "" {
		return period{}, true
	}
	months, length, err := events.ParsePeriod(s)
	return period{months: months, length: micros(length / time.Microsecond)}, err == nil
}

func parses(s string) bool {
	_, ok := parsePeriod(s)
	return ok
}

// around returns the period [start, end) that contains at, counted from
// anchor.
func (p period) around(anchor, at micros) (start, end micros) {
	from, to := events.PeriodAround(p.months, time.Duration(p.length)*time.Microsecond, anchor.time(), at.time())
	return microsOf(from), microsOf(to)
}
