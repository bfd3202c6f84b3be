package ledger

import (
	"strings"
	"time"
)

// period is a length of time between the starts of two periods. The zero
// period is none.
type period struct {
	months int    // of month and year
	length micros // of all others
}

// Bounds of a period given as an ISO 8601 duration.
const (
	periodMin = time.Minute
	periodMax = 366 * 24 * time.Hour
)

const day = micros(24 * time.Hour / time.Microsecond)

func (p period) some() bool { return p != period{} }

// parsePeriod reads day, week, month, year, or PT…H…M…S within the bounds; the
// empty string is no period.
func parsePeriod(s string) (p period, ok bool) {
	switch s {
	case "":
		return period{}, true
	case "day":
		return period{length: day}, true
	case "week":
		return period{length: 7 * day}, true
	case "month":
		return period{months: 1}, true
	case "year":
		return period{months: 12}, true
	}
	d, ok := parseDuration(s)
	if !ok || d < periodMin || d > periodMax {
		return period{}, false
	}
	return period{length: micros(d / time.Microsecond)}, true
}

// parseDuration reads the hours, minutes and seconds of an ISO 8601 duration,
// each at most 8 digits.
func parseDuration(s string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(s, "PT")
	if !ok || rest == "" {
		return 0, false
	}
	var sum time.Duration
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"H", time.Hour}, {"M", time.Minute}, {"S", time.Second}} {
		digits, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, ok := parseDigits(digits)
		if !ok {
			return 0, false
		}
		sum += time.Duration(min(n, int64(periodMax/unit.length)+1)) * unit.length
		rest = after
	}
	return sum, rest == ""
}

func parseDigits(s string) (n int64, ok bool) {
	if s == "" || len(s) > 8 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
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
