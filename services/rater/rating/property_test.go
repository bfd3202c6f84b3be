package rating_test

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// naive rates with math/big and strings alone, step by step as the contract
// words it.
func naive(p events.Price, rounding events.Rounding, d events.UsageData) (*big.Int, error) {
	rat := func(q events.Quantity) *big.Rat {
		r, ok := new(big.Rat).SetString(q.String())
		if !ok {
			panic(q.String())
		}
		return r
	}
	sum := new(big.Rat)
	if p.Flat != nil {
		sum.Add(sum, rat(*p.Flat))
	}
	for _, t := range p.PerUnit {
		divisor := big.NewRat(1, 1)
		if !t.Per.IsZero() {
			divisor = rat(t.Per)
		}
		sum.Add(sum, new(big.Rat).Mul(rat(t.Price), new(big.Rat).Quo(rat(d.Quantity(t.Quantity)), divisor)))
	}
	if p.Package != nil {
		n := new(big.Rat).Quo(rat(d.Quantity(p.Package.Quantity)), rat(p.Package.Size))
		started := floor(n)
		if !n.IsInt() {
			started.Add(started, big.NewInt(1))
		}
		sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetInt(started), rat(p.Package.Price)))
	}
	if p.Min != nil && sum.Cmp(rat(*p.Min)) < 0 {
		sum = rat(*p.Min)
	}
	micro := new(big.Rat).Mul(sum, big.NewRat(1_000_000, 1))
	amount := floor(micro)
	rest := new(big.Rat).Sub(micro, new(big.Rat).SetInt(amount))
	if roundsUp(rounding, amount, rest) {
		amount.Add(amount, big.NewInt(1))
	}
	if amount.Cmp(big.NewInt(int64(events.MaxCredits))) > 0 {
		return nil, events.ErrOverflow
	}
	return amount, nil
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func roundsUp(rounding events.Rounding, amount *big.Int, rest *big.Rat) bool {
	half := rest.Cmp(big.NewRat(1, 2))
	switch rounding {
	case events.RoundDown:
		return false
	case events.RoundUp:
		return rest.Sign() > 0
	case events.RoundHalfEven:
		return half > 0 || half == 0 && amount.Bit(0) == 1
	default:
		return half >= 0
	}
}

var quantityNames = []string{"requests", "bytes", "tokens", "pages"}

// anyQuantity favours the ends and the shapes that price lists have.
func anyQuantity(positive bool) *rapid.Generator[events.Quantity] {
	return rapid.Custom(func(t *rapid.T) events.Quantity {
		least := uint64(0)
		if positive {
			least = 1
		}
		coefficient := rapid.OneOf(
			rapid.Uint64Range(least, 20),
			rapid.Uint64Range(least, 5_000_000),
			rapid.Uint64Range(least, 999_999_999_999_999_999),
			rapid.SampledFrom([]uint64{1, 5, 15, 25, 1000, 1_048_576, 999_999_999_999_999_989, 999_999_999_999_999_999}),
		).Draw(t, "coefficient")
		places := rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 12)).Draw(t, "places")
		text := fmt.Sprintf("%0*d", places+1, coefficient)
		if places > 0 {
			text = text[:len(text)-places] + "." + text[len(text)-places:]
		}
		q, err := events.ParseQuantity(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return q
	})
}

func optional(q *rapid.Generator[events.Quantity]) *rapid.Generator[*events.Quantity] {
	return rapid.Custom(func(t *rapid.T) *events.Quantity {
		if !rapid.Bool().Draw(t, "present") {
			return nil
		}
		value := q.Draw(t, "value")
		return &value
	})
}

func anyPrice() *rapid.Generator[events.Price] {
	name := rapid.SampledFrom(quantityNames)
	unit := rapid.Custom(func(t *rapid.T) events.PerUnit {
		return events.PerUnit{Quantity: name.Draw(t, "name"), Price: anyQuantity(false).Draw(t, "price"), Per: anyQuantity(false).Draw(t, "per")}
	})
	return rapid.Custom(func(t *rapid.T) events.Price {
		p := events.Price{Flat: optional(anyQuantity(false)).Draw(t, "flat"), Min: optional(anyQuantity(false)).Draw(t, "min")}
		p.PerUnit = rapid.SliceOfN(unit, 0, 3).Draw(t, "per_unit")
		if rapid.Bool().Draw(t, "package") {
			p.Package = &events.Package{Quantity: name.Draw(t, "name"), Size: anyQuantity(true).Draw(t, "size"), Price: anyQuantity(false).Draw(t, "package price")}
		}
		if p.Flat == nil && p.Min == nil && len(p.PerUnit) == 0 && p.Package == nil {
			p.Flat = quantity("1")
		}
		return p
	})
}

func TestRateAgreesWithTheNaiveReading(t *testing.T) {
	t.Parallel()
	roundings := rapid.SampledFrom([]events.Rounding{"", events.RoundHalfUp, events.RoundHalfEven, events.RoundUp, events.RoundDown})
	rapid.Check(t, func(t *rapid.T) {
		p := anyPrice().Draw(t, "price")
		rounding := roundings.Draw(t, "rounding")
		d := events.UsageData{Quantities: rapid.MapOf(rapid.SampledFrom(quantityNames), anyQuantity(false)).Draw(t, "used")}
		card, err := rating.New(events.RateCard{Card: "c", Rounding: rounding, Rules: []events.Rule{{Name: "r", Price: p}}})
		if err != nil {
			// Only a minimum beyond what a charge may be is refused at New.
			if _, naiveErr := naive(p, rounding, d); naiveErr == nil {
				t.Fatalf("refused a price that rates: %v", err)
			}
			return
		}
		want, wantErr := naive(p, rounding, d)
		got, err := card.Rate(events.Usage{Data: d})
		switch {
		case wantErr != nil:
			if !errors.Is(err, events.ErrOverflow) {
				t.Fatalf("got %v, %v; want ErrOverflow", got, err)
			}
		case err != nil:
			t.Fatalf("got %v, want %s", err, want)
		case want.Cmp(big.NewInt(int64(got.Amount))) != 0:
			t.Fatalf("got %d micro-credits (%s), want %s", got.Amount, got.Arithmetic, want)
		default:
			checkArithmetic(t, got)
		}
	})
}

// checkArithmetic verifies that the explanation ends with the amount.
func checkArithmetic(t *rapid.T, c rating.Charge) {
	text := c.Arithmetic
	if cut := strings.LastIndex(text, " ("); cut >= 0 {
		text = text[:cut]
	}
	last := text[strings.LastIndex(text, " ")+1:]
	if last != c.Amount.String() {
		t.Fatalf("arithmetic %q does not end with %s", c.Arithmetic, c.Amount)
	}
}

// naiveGlob translates a glob for the regular expression engine.
func naiveGlob(pattern string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString("(?s:.*)")
			i++
		case pattern[i] == '*':
			b.WriteString("[^/]*")
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return regexp.MustCompile(`^(?:` + b.String() + `)$`)
}

func TestGlobAgreesWithARegularExpression(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"a", "b", "/", "ab", ".", "*", "**", "/*/", strings.Repeat("ab/", 30)})
	text := rapid.SampledFrom([]string{"a", "b", "/", "ab", ".", "\n", "*", strings.Repeat("ab/", 30)})
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(t, "pattern"), "")
		operation := strings.Join(rapid.SliceOfN(text, 0, 8).Draw(t, "operation"), "")
		if len(pattern) > events.MaxStringBytes || strings.Contains(pattern, "***") {
			return // three stars are no glob
		}
		card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{
			{Name: "r", Match: events.Match{Operation: pattern}, Price: events.Price{Flat: quantity("1")}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = card.Rate(events.Usage{Data: events.UsageData{Operation: operation}})
		if got, want := err == nil, naiveGlob(pattern).MatchString(operation); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, operation, got, want)
		}
	})
}
