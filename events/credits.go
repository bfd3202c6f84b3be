package events

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Credits is an amount of credits in micro-credits: 1 credit = 1,000,000.
// Its text and JSON form is a decimal string with at most 6 places ("12.5").
// The zero value is no credits. Add and Sub report overflow; the operators
// + and - wrap and are for amounts already known to fit.
type Credits int64

const (
	// Credit is one whole credit.
	Credit Credits = 1_000_000
	// MaxCredits is the largest amount one grant, charge or setting may name:
	// a billion credits. Sums of such amounts stay far from the end of int64.
	MaxCredits = 1_000_000_000 * Credit

	creditPlaces = 6
)

// ErrOverflow reports a result that does not fit its type.
var ErrOverflow = errors.New("amount overflows")

// ParseCredits reads a decimal such as "12.5" or "-0.000001": an optional
// sign, digits, and at most 6 places. It refuses exponents, spaces, a bare
// point and amounts beyond int64 micro-credits.
func ParseCredits(s string) (Credits, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || (point && fraction == "") {
		return 0, invalidCredits(s, "expected a decimal such as \"12.5\"")
	}
	if len(fraction) > creditPlaces {
		return 0, invalidCredits(s, "expected at most 6 decimal places")
	}
	var micro uint64
	for i := range len(whole) + creditPlaces {
		digit := byte('0')
		switch {
		case i < len(whole):
			digit = whole[i]
		case i-len(whole) < len(fraction):
			digit = fraction[i-len(whole)]
		}
		if digit < '0' || digit > '9' {
			return 0, invalidCredits(s, "expected a decimal such as \"12.5\"")
		}
		high, low := bits.Mul64(micro, 10)
		sum, carry := bits.Add64(low, uint64(digit-'0'), 0)
		if high != 0 || carry != 0 {
			return 0, tooMany(s)
		}
		micro = sum
	}
	switch {
	case negative && micro == 1<<63:
		return math.MinInt64, nil
	case micro > math.MaxInt64:
		return 0, tooMany(s)
	case negative:
		return -Credits(micro), nil
	}
	return Credits(micro), nil
}

// MustCredits is ParseCredits for constants in programs and tests; it panics
// on bad input.
func MustCredits(s string) Credits {
	c, err := ParseCredits(s)
	if err != nil {
		panic(err)
	}
	return c
}

// String returns the shortest exact decimal: "12.5", "-0.000001", "0".
func (c Credits) String() string {
	return string(c.append(nil))
}

func (c Credits) append(b []byte) []byte {
	magnitude := uint64(c)
	if c < 0 {
		b = append(b, '-')
		magnitude = -magnitude
	}
	return appendDecimal(b, magnitude, creditPlaces)
}

// Add returns c + d, or ErrOverflow.
func (c Credits) Add(d Credits) (Credits, error) {
	sum := c + d
	if (sum > c) != (d > 0) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Sub returns c - d, or ErrOverflow.
func (c Credits) Sub(d Credits) (Credits, error) {
	difference := c - d
	if (difference < c) != (d > 0) {
		return 0, ErrOverflow
	}
	return difference, nil
}

// MarshalText returns String.
func (c Credits) MarshalText() ([]byte, error) { return c.append(nil), nil }

// AppendText appends String to b.
func (c Credits) AppendText(b []byte) ([]byte, error) { return c.append(b), nil }

// UnmarshalText reads what ParseCredits reads.
func (c *Credits) UnmarshalText(text []byte) error {
	parsed, err := ParseCredits(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

func invalidCredits(s, expected string) error {
	return invalidf("credits %s: %s", clip(s), expected)
}

func tooMany(s string) error {
	return refusal{fmt.Sprintf("credits %s: expected at most %s", clip(s), MaxCredits), ErrOverflow}
}

// appendDecimal appends n / 10^places in its shortest exact form.
func appendDecimal(b []byte, n uint64, places int) []byte {
	if n == 0 || places == 0 {
		return strconv.AppendUint(b, n, 10)
	}
	digits := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	if missing := places + 1 - len(digits); missing > 0 {
		digits = append(bytes.Repeat([]byte{'0'}, missing), digits...)
	}
	whole, fraction := digits[:len(digits)-places], digits[len(digits)-places:]
	b = append(b, whole...)
	if fraction = bytes.TrimRight(fraction, "0"); len(fraction) > 0 {
		b = append(append(b, '.'), fraction...)
	}
	return b
}

// clip quotes s for an error message, shortened to a bound so that hostile
// input cannot flood a log.
func clip(s string) string {
	const clipMax = 64
	if len(s) > clipMax {
		return fmt.Sprintf("%.*q… (%d bytes)", clipMax, s[:clipMax], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// clipText is clip without quotes, for text of other packages.
func clipText(s string) string {
	const clipMax = 256
	if len(s) > clipMax {
		s = s[:clipMax] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
