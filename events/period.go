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
