package events_test

import (
	"errors"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

func TestParsePeriod(t *testing.T) {
	tests := map[string]struct {
		in     string
		months int
		length time.Duration
		bad    bool
	}{
		"a day":                          {in: "day", length: 24 * time.Hour},
		"a week":                         {in: "week", length: 7 * 24 * time.Hour},
		"a month":                        {in: "month", months: 1},
		"a year":                         {in: "year", months: 12},
		"an hour":                        {in: "PT1H", length: time.Hour},
		"hours, minutes and seconds":     {in: "PT1H30M5S", length: time.Hour + 30*time.Minute + 5*time.Second},
		"the shortest":                   {in: "PT60S", length: events.MinPeriod},
		"the longest":                    {in: "PT8784H", length: events.MaxPeriod},
		"one below the shortest":         {in: "PT59S", bad: true},
		"one past the longest":           {in: "PT8784H1S", bad: true},
		"nothing":                        {in: "", bad: true},
		"a duration of nothing":          {in: "PT", bad: true},
		"units in the wrong order":       {in: "PT5M1H", bad: true},
		"days, which depend on no clock": {in: "P1D", bad: true},
		"a negative duration":            {in: "PT-1H", bad: true},
		"a fraction":                     {in: "PT1.5H", bad: true},
		"more than fits":                 {in: "PT99999999999999999999H", bad: true},
		"another word":                   {in: "fortnight", bad: true},
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
