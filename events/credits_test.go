package events_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

func TestParseCredits(t *testing.T) {
	tests := map[string]struct {
		in   string
		want events.Credits
		err  error
	}{
		"reads whole credits":                  {in: "12", want: 12_000_000},
		"reads six places":                     {in: "0.000001", want: 1},
		"reads a negative amount":              {in: "-2.5", want: -2_500_000},
		"reads leading zeros":                  {in: "007.10", want: 7_100_000},
		"reads the largest amount":             {in: "9223372036854.775807", want: math.MaxInt64},
		"reads the smallest amount":            {in: "-9223372036854.775808", want: math.MinInt64},
		"refuses one past the largest amount":  {in: "9223372036854.775808", err: events.ErrOverflow},
		"refuses one past the smallest amount": {in: "-9223372036854.775809", err: events.ErrOverflow},
		"refuses an amount of 400 digits":      {in: strings.Repeat("9", 400), err: events.ErrOverflow},
		"refuses a seventh place, even a zero": {in: "1.0000000", err: events.ErrInvalid},
		"refuses the empty string":             {in: "", err: events.ErrInvalid},
		"refuses a bare sign":                  {in: "-", err: events.ErrInvalid},
		"refuses a bare point":                 {in: "1.", err: events.ErrInvalid},
		"refuses a missing whole part":         {in: ".5", err: events.ErrInvalid},
		"refuses an exponent":                  {in: "1e3", err: events.ErrInvalid},
		"refuses a plus sign":                  {in: "+1", err: events.ErrInvalid},
		"refuses a space":                      {in: " 1", err: events.ErrInvalid},
		"refuses a digit separator":            {in: "1,000", err: events.ErrInvalid},
		"refuses NaN":                          {in: "NaN", err: events.ErrInvalid},
		"refuses digits that are not ASCII":    {in: "١٢", err: events.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := events.ParseCredits(tt.in)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("ParseCredits(%q) = %v, %v; want %v, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestCreditsPrintAndParseIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := events.Credits(rapid.Int64().Draw(t, "micro"))
		got, err := events.ParseCredits(c.String())
		if err != nil || got != c {
			t.Fatalf("ParseCredits(%q) = %d, %v; want %d", c.String(), got, err, c)
		}
	})
}

func TestCreditsArithmeticReportsOverflow(t *testing.T) {
	if _, err := events.Credits(math.MaxInt64).Add(1); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("max + 1: error %v; want ErrOverflow", err)
	}
	if _, err := events.Credits(math.MinInt64).Sub(1); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("min - 1: error %v; want ErrOverflow", err)
	}
	if _, err := events.Credits(0).Sub(math.MinInt64); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("0 - min: error %v; want ErrOverflow", err)
	}
	if got, err := events.Credits(5).Sub(7); got != -2 || err != nil {
		t.Errorf("5 - 7 = %d, %v; want -2", got, err)
	}
}

func TestParseQuantity(t *testing.T) {
	tests := map[string]struct {
		in, want string
		refused  bool
	}{
		"reads a whole number":                  {in: "374", want: "374"},
		"reads a fraction":                      {in: "0.50", want: "0.5"},
		"reads twelve places":                   {in: "0.000000000001", want: "0.000000000001"},
		"reads an exponent":                     {in: "1.5e3", want: "1500"},
		"reads a negative exponent":             {in: "25E-1", want: "2.5"},
		"reads eighteen digits":                 {in: "999999999999999999", want: "999999999999999999"},
		"refuses nineteen digits":               {in: "9999999999999999999", refused: true},
		"refuses thirty decimals":               {in: "0.123456789012345678901234567890", refused: true},
		"refuses thirteen places":               {in: "0.0000000000001", refused: true},
		"refuses a negative number":             {in: "-1", refused: true},
		"refuses NaN":                           {in: "NaN", refused: true},
		"refuses infinity":                      {in: "Inf", refused: true},
		"refuses ten to the four hundredth":     {in: "1e400", refused: true},
		"refuses an exponent beyond int":        {in: "1e99999999999999999999", refused: true},
		"refuses a tiny number":                 {in: "1e-400", refused: true},
		"refuses the largest int as exponent":   {in: "1e9223372036854775807", refused: true},
		"refuses an empty string":               {in: "", refused: true},
		"refuses an exponent that is no number": {in: "1e", refused: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := events.ParseQuantity(tt.in)
			if tt.refused {
				if !errors.Is(err, events.ErrInvalid) {
					t.Fatalf("ParseQuantity(%q) = %v, %v; want ErrInvalid", tt.in, got, err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Fatalf("ParseQuantity(%q) = %v, %v; want %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func FuzzParseQuantity(f *testing.F) {
	for _, seed := range []string{"1", "0.1", "1e3", "-1", "1e400", "1e-12", "1e9223372036854775807", "00.10e+2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := events.ParseQuantity(s)
		if err != nil {
			return
		}
		again, err := events.ParseQuantity(q.String())
		if err != nil || again != q {
			t.Fatalf("%q parsed to %v, which parses to %v, %v", s, q, again, err)
		}
	})
}

func FuzzParseCredits(f *testing.F) {
	for _, seed := range []string{"1", "-0.000001", "9223372036854.775807", "1.", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := events.ParseCredits(s)
		if err != nil {
			return
		}
		again, err := events.ParseCredits(c.String())
		if err != nil || again != c {
			t.Fatalf("%q parsed to %v, which parses to %v, %v", s, c, again, err)
		}
	})
}
