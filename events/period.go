package events

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a period given as a duration.
const (
	MinPeriod = time.Minute
	MaxPeriod = 366 * 24 * time.Hour
)

// ParsePeriod reads the length of a period: day, week, month, year, or an
// ISO 8601 duration of hours, minutes and seconds (PT1H30M) from MinPeriod to
// MaxPeriod. It returns whole calendar months, or a length of time; the other
// is 0. The error matches ErrInvalid and says what was expected.
func ParsePeriod(s string) (months int, length time.Duration, err error) {
	const day = 24 * time.Hour
	switch s {
	case "day":
		return 0, day, nil
	case "week":
		return 0, 7 * day, nil
	case "month":
		return 1, 0, nil
	case "year":
		return 12, 0, nil
	}
	length, ok := parseClockDuration(s)
	if !ok || length < MinPeriod || length > MaxPeriod {
		return 0, 0, fmt.Errorf("period %s: expected day, week, month, year or a duration such as PT1H, from PT1M to PT8784H: %w", clip(s), ErrInvalid)
	}
	return 0, length, nil
}

// parseClockDuration reads PT, then whole hours, minutes and seconds, each at
// most once and in this order.
func parseClockDuration(s string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(s, "PT")
	if !ok || rest == "" {
		return 0, false
	}
	var total time.Duration
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"H", time.Hour}, {"M", time.Minute}, {"S", time.Second}} {
		digits, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || time.Duration(n) > MaxPeriod/unit.length {
			return 0, false
		}
		total += time.Duration(n) * unit.length
		rest = after
	}
	return total, rest == ""
}

// PeriodAround returns the period [start, end) that contains at, of periods of
// whole months or of a length as ParsePeriod returns them, one of which starts
// at anchor. All are in UTC and exact to the microsecond; at may lie before
// anchor. A month without the anchor's day starts on its last one.
func PeriodAround(months int, length time.Duration, anchor, at time.Time) (start, end time.Time) {
	if months == 0 {
		step, from := length.Microseconds(), anchor.UnixMicro()
		n := floorDiv(at.UnixMicro()-from, step)
		return time.UnixMicro(from + n*step).UTC(), time.UnixMicro(from + (n+1)*step).UTC()
	}
	from, to := time.UnixMicro(anchor.UnixMicro()).UTC(), at.UTC()
	n := int(floorDiv(int64(12*(to.Year()-from.Year())+int(to.Month()-from.Month())), int64(months)))
	if start = addMonths(from, n*months); start.UnixMicro() > at.UnixMicro() {
		n--
		start = addMonths(from, n*months)
	}
	return start, addMonths(from, (n+1)*months)
}

// floorDiv returns n / d rounded down; d is above 0.
func floorDiv(n, d int64) int64 {
	quotient := n / d
	if n%d < 0 {
		quotient--
	}
	return quotient
}

// addMonths returns the same day and time of day n months after from, or the
// month's last day when it has no such day.
func addMonths(from time.Time, n int) time.Time {
	year, month, day := from.Date()
	first := time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	sinceMidnight := from.Sub(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
	return first.AddDate(0, 0, min(day, last)-1).Add(sinceMidnight)
}
