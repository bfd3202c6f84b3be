package events

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bounds of a period given as a duration.
const (
	MinPeriod = time.Minute
	MaxPeriod = 366 * 24 * time.Hour

	maxPeriodMonths = 12
)

// PeriodForm says how the length of a period is written.
const PeriodForm = "day, week, month, year, or an ISO 8601 duration such as P3M, P14D or PT1H30M, from PT1M to 366 days"

// ParsePeriod reads the length of a period: day, week, month, year, or an
// ISO 8601 duration from MinPeriod to MaxPeriod: of years and months (P3M, at most
// 12 months), of weeks (P2W), or of days and a time (P14D, P1DT12H, PT1H30M). It
// returns whole calendar months, or a length of time, in which a day has 24 hours;
// the other is 0. The error matches ErrInvalid and says what was expected.
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
	months, length, ok := parseISODuration(s)
	if !ok || months > maxPeriodMonths || months == 0 && (length < MinPeriod || length > MaxPeriod) {
		return 0, 0, invalidf("period %s: expected %s", clip(s), PeriodForm)
	}
	return months, length, nil
}

// isoDuration has the parts of an ISO 8601 duration that ParsePeriod reads.
var isoDuration = regexp.MustCompile(`^P(?:(?:(\d{1,9})Y)?(?:(\d{1,9})M)?|(\d{1,9})W|(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?)$`)

// parseISODuration returns the whole months of s, or its length.
func parseISODuration(s string) (months int, length time.Duration, ok bool) {
	parts := isoDuration.FindStringSubmatch(s)
	if parts == nil || strings.HasSuffix(s, "P") || strings.HasSuffix(s, "T") {
		return 0, 0, false
	}
	var n [8]int64
	for i, digits := range parts[1:] {
		if digits != "" {
			n[i+1], _ = strconv.ParseInt(digits, 10, 64) // of at most 9 digits
		}
	}
	seconds := (7*n[3]+n[4])*24*60*60 + n[5]*60*60 + n[6]*60 + n[7]
	if seconds > int64(MaxPeriod/time.Second) {
		return 0, 0, false
	}
	return int(12*n[1] + n[2]), time.Duration(seconds) * time.Second, true
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
