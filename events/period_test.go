package events_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

func TestParsePeriod(t *testing.T) {
	tests := map[string]struct {
		in     string
		months int
		length time.Duration
		bad    bool
	}{
		"a day":                      {in: "day", length: 24 * time.Hour},
		"a week":                     {in: "week", length: 7 * 24 * time.Hour},
		"a month":                    {in: "month", months: 1},
		"a year":                     {in: "year", months: 12},
		"an hour":                    {in: "PT1H", length: time.Hour},
		"hours, minutes and seconds": {in: "PT1H30M5S", length: time.Hour + 30*time.Minute + 5*time.Second},
		"the shortest":               {in: "PT60S", length: events.MinPeriod},
		"the longest":                {in: "PT8784H", length: events.MaxPeriod},
		"one below the shortest":     {in: "PT59S", bad: true},
		"one past the longest":       {in: "PT8784H1S", bad: true},
		"nothing":                    {in: "", bad: true},
		"a duration of nothing":      {in: "PT", bad: true},
		"units in the wrong order":   {in: "PT5M1H", bad: true},
		"a quarter":                  {in: "P3M", months: 3},
		"years and months":           {in: "P0Y6M", months: 6},
		"an ISO year":                {in: "P1Y", months: 12},
		"weeks":                      {in: "P2W", length: 14 * 24 * time.Hour},
		"days":                       {in: "P14D", length: 14 * 24 * time.Hour},
		"days and a time":            {in: "P1DT12H", length: 36 * time.Hour},
		"the longest in days":        {in: "P366D", length: events.MaxPeriod},
		"more than a year":           {in: "P13M", bad: true},
		"a year and a month":         {in: "P1Y1M", bad: true},
		"no months at all":           {in: "P0M", bad: true},
		"a day too many":             {in: "P367D", bad: true},
		"months and days":            {in: "P1M1D", bad: true},
		"weeks and days":             {in: "P1W1D", bad: true},
		"days and no time":           {in: "P1DT", bad: true},
		"a P alone":                  {in: "P", bad: true},
		"a small letter":             {in: "p3m", bad: true},
		"a negative duration":        {in: "PT-1H", bad: true},
		"a fraction":                 {in: "PT1.5H", bad: true},
		"more than fits":             {in: "PT99999999999999999999H", bad: true},
		"another word":               {in: "fortnight", bad: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			months, length, err := events.ParsePeriod(tt.in)
			if months != tt.months || length != tt.length || errors.Is(err, events.ErrInvalid) != tt.bad {
				t.Errorf("ParsePeriod(%q) = %d, %s, %v", tt.in, months, length, err)
			}
		})
	}
}

func TestPeriodAroundAnInstant(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	tests := map[string]struct {
		period, anchor, at string
		start, end         string
	}{
		"the first instant belongs to the period":         {"month", "2026-01-10T08:00:00Z", "2026-03-10T08:00:00Z", "2026-03-10T08:00:00Z", "2026-04-10T08:00:00Z"},
		"the last microsecond too":                        {"month", "2026-01-10T08:00:00Z", "2026-03-10T07:59:59.999999Z", "2026-02-10T08:00:00Z", "2026-03-10T08:00:00Z"},
		"the 31st is the last day of a shorter month":     {"month", "2026-01-31T00:00:00Z", "2026-02-28T12:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"},
		"a leap day starts on the 28th in other years":    {"year", "2024-02-29T00:00:00Z", "2026-05-01T00:00:00Z", "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z"},
		"weeks are counted from the anchor":               {"week", "2026-01-01T00:00:00Z", "2026-01-20T00:00:00Z", "2026-01-15T00:00:00Z", "2026-01-22T00:00:00Z"},
		"an instant before the anchor has a period too":   {"PT1H", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z"},
		"a month before the anchor":                       {"month", "2026-01-31T00:00:00Z", "2025-12-01T00:00:00Z", "2025-11-30T00:00:00Z", "2025-12-31T00:00:00Z"},
		"quarters keep the day too":                       {"P3M", "2026-01-31T00:00:00Z", "2026-05-01T00:00:00Z", "2026-04-30T00:00:00Z", "2026-07-31T00:00:00Z"},
		"a length is exact over more than 292 years":      {"day", "1600-01-01T00:00:00Z", "2026-05-05T05:00:00Z", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"},
		"another zone's midnight is not the UTC midnight": {"day", "2026-01-01T00:00:00Z", "2026-05-05T01:00:00+02:00", "2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			months, length, err := events.ParsePeriod(tt.period)
			if err != nil {
				t.Fatal(err)
			}
			start, end := events.PeriodAround(months, length, at(tt.anchor), at(tt.at))
			if !start.Equal(at(tt.start)) || !end.Equal(at(tt.end)) {
				t.Errorf("got %s to %s, want %s to %s", start.Format(time.RFC3339), end.Format(time.RFC3339), tt.start, tt.end)
			}
		})
	}
}

func TestPeriodsCoverTimeWithoutGaps(t *testing.T) {
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(-30e15, 30e15).Draw(t, "micros")).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		months, length, err := events.ParsePeriod(rapid.SampledFrom([]string{"day", "week", "month", "year", "PT1M", "PT7H31M"}).Draw(t, "period"))
		if err != nil {
			t.Fatal(err)
		}
		anchor, at := instant.Draw(t, "anchor"), instant.Draw(t, "at")
		start, end := events.PeriodAround(months, length, anchor, at)
		if at.Before(start) || !at.Before(end) {
			t.Fatalf("%s lies outside of %s to %s", at, start, end)
		}
		if next, _ := events.PeriodAround(months, length, anchor, end); !next.Equal(end) {
			t.Fatalf("a period ends at %s and the next starts at %s", end, next)
		}
		if same, _ := events.PeriodAround(months, length, anchor, anchor); !same.Equal(anchor) {
			t.Fatalf("a period around the anchor %s starts at %s", anchor, same)
		}
	})
}
