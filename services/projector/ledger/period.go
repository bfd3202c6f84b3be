package ledger

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// period is a length of time between the starts of two periods. The zero
// period is none.
type period struct {
	months int    // of month and year
	length micros // of all others
}

func (p period) some() bool { return p != period{} }

// sound reports whether p is one that parsePeriod returns.
func (p period) sound() bool {
	if p.months != 0 {
		return p.length == 0 && (p.months == 1 || p.months == 12)
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

// around returns the period [start, end) that contains at, counted from
// anchor, which is not after at.
func (p period) around(anchor, at micros) (start, end micros) {
	if p.months == 0 {
		start = anchor + (at-anchor)/p.length*p.length
		return start, start + p.length
	}
	from, to := anchor.time(), at.time()
	months := 12*(to.Year()-from.Year()) + int(to.Month()-from.Month())
	n := months / p.months
	if addMonths(from, n*p.months) > at {
		n--
	}
	return addMonths(from, n*p.months), addMonths(from, (n+1)*p.months)
}

// addMonths returns the same day and time of day n months after from, or the
// month's last day when it has no such day.
func addMonths(from time.Time, n int) micros {
	year, month, dayOfMonth := from.Date()
	first := time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	sinceMidnight := from.Sub(time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC))
	return microsOf(first.AddDate(0, 0, min(dayOfMonth, last)-1).Add(sinceMidnight))
}
