package events

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Quantity is an exact non-negative decimal: how much of something a call used
// (tokens, bytes, pages), or a price. It holds at most 18 significant digits
// and at most 12 decimal places. The zero value is 0.
type Quantity struct {
	coefficient uint64 // < 10^18
	places      uint8  // ≤ 12; no trailing zero in the coefficient while places > 0
}

const (
	quantityDigitsMax = 18
	quantityPlacesMax = 12
	quantityTextMax   = 64
	exponentMax       = 1000
)

// ParseQuantity reads a JSON number or decimal text: digits, an optional
// fraction and an optional exponent ("374", "0.000001", "1.5e3"). It refuses
// signs, NaN, infinities, more than 18 significant digits and more than 12
// places after the point.
func ParseQuantity(s string) (Quantity, error) {
	refuse := func(expected string) (Quantity, error) {
		return Quantity{}, invalidf("quantity %s: %s", clip(s), expected)
	}
	if len(s) > quantityTextMax {
		return refuse("expected at most 64 characters")
	}
	if strings.HasPrefix(s, "-") {
		return refuse("expected a non-negative decimal")
	}
	mantissa, exponentText, hasExponent := cutAny(s, "eE")
	whole, fraction, point := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if whole == "" || (point && fraction == "") || strings.Trim(digits, "0123456789") != "" {
		return refuse("expected a non-negative decimal such as \"12.5\"")
	}
	exponent := 0
	if hasExponent {
		var err error
		if exponent, err = strconv.Atoi(exponentText); err != nil || exponent < -exponentMax || exponent > exponentMax {
			return refuse("expected a whole exponent within ±1000")
		}
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return Quantity{}, nil
	}
	places := len(fraction) - exponent
	trimmed := strings.TrimRight(digits, "0")
	places -= len(digits) - len(trimmed)
	if places < 0 {
		if len(trimmed)-places > quantityDigitsMax {
			return refuse("expected at most 18 significant digits")
		}
		trimmed += strings.Repeat("0", -places)
		places = 0
	}
	switch {
	case places > quantityPlacesMax:
		return refuse("expected at most 12 decimal places")
	case len(trimmed) > quantityDigitsMax:
		return refuse("expected at most 18 significant digits")
	}
	coefficient, err := strconv.ParseUint(trimmed, 10, 64)
	if err != nil {
		return refuse("expected a non-negative decimal")
	}
	return Quantity{coefficient: coefficient, places: uint8(places)}, nil
}

// plainQuantity is ParseQuantity for the common case, digits with or without a
// short fraction; it reports false for all else.
func plainQuantity(digits []byte) (Quantity, bool) {
	var coefficient uint64
	point := -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			coefficient = coefficient*10 + uint64(c-'0')
		case c == '.' && point < 0 && i > 0 && i < len(digits)-1:
			point = i
		default:
			return Quantity{}, false
		}
	}
	if len(digits) == 0 || len(digits) > quantityDigitsMax {
		return Quantity{}, false
	}
	places := 0
	if point >= 0 {
		places = len(digits) - point - 1
	}
	if places > quantityPlacesMax {
		return Quantity{}, false
	}
	for places > 0 && coefficient%10 == 0 {
		coefficient /= 10
		places--
	}
	return Quantity{coefficient: coefficient, places: uint8(places)}, true
}

// MustQuantity is ParseQuantity for constants in programs and tests; it panics
// on bad input.
func MustQuantity(s string) Quantity {
	q, err := ParseQuantity(s)
	if err != nil {
		panic(err)
	}
	return q
}

// WholeQuantity returns n, which must be in [0, 10^18); it panics otherwise.
func WholeQuantity(n int64) Quantity {
	return MustQuantity(strconv.FormatInt(n, 10))
}

// Fraction returns q as coefficient / 10^places, exactly; places is 0 to 12.
func (q Quantity) Fraction() (coefficient uint64, places int) {
	return q.coefficient, int(q.places)
}

// IsZero reports whether q is 0.
func (q Quantity) IsZero() bool { return q.coefficient == 0 }

// Rat returns q as an exact rational number.
func (q Quantity) Rat() *big.Rat {
	denominator := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(q.places)), nil)
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(q.coefficient), denominator)
}

// Credits returns q as an amount, or an error when q has more than 6 places or
// does not fit.
func (q Quantity) Credits() (Credits, error) { return ParseCredits(q.String()) }

// Float64 returns the nearest float, for charts and conditions; never for
// money.
func (q Quantity) Float64() float64 {
	return float64(q.coefficient) / math.Pow10(int(q.places))
}

// String returns the shortest exact decimal.
func (q Quantity) String() string {
	return string(appendDecimal(nil, q.coefficient, int(q.places)))
}

// MarshalText returns String.
func (q Quantity) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads what ParseQuantity reads.
func (q *Quantity) UnmarshalText(text []byte) error {
	parsed, err := ParseQuantity(string(text))
	if err != nil {
		return err
	}
	*q = parsed
	return nil
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
