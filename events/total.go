package events

import (
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Total is an exact sum of quantities: a non-negative decimal below 2^64
// (18446744073709551616) with at most 12 places, which is more than 18 times
// the largest Quantity. Its text and JSON form is a decimal string. The zero
// value is 0. Totals are comparable with ==.
type Total struct {
	whole    uint64
	fraction uint64 // in units of 10^-12, below fractionUnit
}

const fractionUnit = 1_000_000_000_000

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// Total returns q as a total.
func (q Quantity) Total() Total {
	if q.places == 0 {
		return Total{whole: q.coefficient}
	}
	unit := pow10[q.places]
	return Total{whole: q.coefficient / unit, fraction: q.coefficient % unit * pow10[quantityPlacesMax-q.places]}
}

// Add returns t + u, or ErrOverflow.
func (t Total) Add(u Total) (Total, error) {
	fraction, carry := t.fraction+u.fraction, uint64(0)
	if fraction >= fractionUnit {
		fraction, carry = fraction-fractionUnit, 1
	}
	whole, overflow := bits.Add64(t.whole, u.whole, carry)
	if overflow != 0 {
		return Total{}, fmt.Errorf("add %s to the total %s: %w", u, t, ErrOverflow)
	}
	return Total{whole: whole, fraction: fraction}, nil
}

// Sub returns t - u, or ErrOverflow when u is more than t.
func (t Total) Sub(u Total) (Total, error) {
	fraction, borrow := t.fraction-u.fraction, uint64(0)
	if t.fraction < u.fraction {
		fraction, borrow = fraction+fractionUnit, 1
	}
	whole, overflow := bits.Sub64(t.whole, u.whole, borrow)
	if overflow != 0 {
		return Total{}, fmt.Errorf("subtract %s from the total %s: %w", u, t, ErrOverflow)
	}
	return Total{whole: whole, fraction: fraction}, nil
}

// Compare returns -1, 0 or 1 as t is less than, equal to or more than u.
func (t Total) Compare(u Total) int {
	switch {
	case t == u:
		return 0
	case t.whole < u.whole || t.whole == u.whole && t.fraction < u.fraction:
		return -1
	}
	return 1
}

// IsZero reports whether t is 0.
func (t Total) IsZero() bool { return t == Total{} }

// Rat returns t as an exact rational number.
func (t Total) Rat() *big.Rat {
	r := new(big.Rat).SetFrac(new(big.Int).SetUint64(t.fraction), big.NewInt(fractionUnit))
	return r.Add(r, new(big.Rat).SetInt(new(big.Int).SetUint64(t.whole)))
}

// ParseTotal reads digits and an optional fraction of at most 12 places
// ("1500.25").
func ParseTotal(s string) (Total, error) {
	refuse := func() (Total, error) {
		return Total{}, fmt.Errorf("total %s: expected a decimal below 2^64 with at most 12 places: %w", clip(s), ErrInvalid)
	}
	whole, fraction, point := strings.Cut(s, ".")
	if len(s) > quantityTextMax || point && fraction == "" || len(fraction) > quantityPlacesMax {
		return refuse()
	}
	var t Total
	var err error
	if t.whole, err = strconv.ParseUint(whole, 10, 64); err != nil {
		return refuse()
	}
	if point {
		n, err := strconv.ParseUint(fraction, 10, 64)
		if err != nil {
			return refuse()
		}
		t.fraction = n * pow10[quantityPlacesMax-len(fraction)]
	}
	return t, nil
}

// NewTotal returns the total of whole units and of parts of 10^-12, of which there
// are less than one unit; otherwise it answers ErrInvalid. It undoes Fraction.
func NewTotal(whole, parts uint64) (Total, error) {
	if parts >= fractionUnit {
		return Total{}, fmt.Errorf("total of %d and %d parts: expected less than a unit of parts: %w", whole, parts, ErrInvalid)
	}
	return Total{whole: whole, fraction: parts}, nil
}

// Fraction returns t as a number of whole units and of parts of 10^-12, exactly.
func (t Total) Fraction() (whole, parts uint64) { return t.whole, t.fraction }

// String returns the shortest exact decimal.
func (t Total) String() string { return string(t.append(nil)) }

func (t Total) append(b []byte) []byte {
	b = strconv.AppendUint(b, t.whole, 10)
	if t.fraction == 0 {
		return b
	}
	behind := appendDecimal(make([]byte, 0, 16), t.fraction, quantityPlacesMax)
	return append(b, behind[1:]...) // all but the 0 before the point
}

// AppendText appends String to b.
func (t Total) AppendText(b []byte) ([]byte, error) { return t.append(b), nil }

// MarshalText returns String.
func (t Total) MarshalText() ([]byte, error) { return t.append(nil), nil }

// UnmarshalText reads what ParseTotal reads.
func (t *Total) UnmarshalText(text []byte) error {
	parsed, err := ParseTotal(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}
