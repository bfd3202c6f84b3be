package books

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Instants are microseconds since 1970.
const (
	never = int64(math.MaxInt64)
	ever  = int64(math.MinInt64)
)

func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(at int64) time.Time {
	if at == never || at == ever {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}

// window returns the period [start, end) of a length, as terms write it, that
// contains at, counted from anchor.
func window(length string, anchor, at int64) (start, end int64) {
	months := map[string]int{"month": 1, "year": 12}[length]
	if months == 0 {
		each := duration(length)
		n := (at - anchor) / each
		if (at-anchor)%each < 0 {
			n--
		}
		return anchor + n*each, anchor + (n+1)*each
	}
	from, now := instant(anchor), instant(at)
	n := ((now.Year()-from.Year())*12 + int(now.Month()) - int(from.Month())) / months
	for micros(monthsAfter(from, n*months)) > at {
		n--
	}
	for micros(monthsAfter(from, (n+1)*months)) <= at {
		n++
	}
	return micros(monthsAfter(from, n*months)), micros(monthsAfter(from, (n+1)*months))
}

// monthsAfter keeps the day, or takes the last one of a shorter month.
func monthsAfter(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return first.AddDate(0, 0, min(t.Day(), first.AddDate(0, 1, -1).Day())-1)
}

// duration reads day, week and PT1H30M15S, in microseconds.
func duration(length string) int64 {
	const second = 1_000_000
	switch length {
	case "day":
		return 24 * 3600 * second
	case "week":
		return 7 * 24 * 3600 * second
	}
	sum, digits := int64(0), ""
	for _, c := range length[2:] {
		unit, ok := map[rune]int64{'H': 3600, 'M': 60, 'S': 1}[c]
		if !ok {
			digits += string(c)
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("books: no period: %s", length))
		}
		sum, digits = sum+n*unit*second, ""
	}
	return sum
}
