package rating_test

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// naive rates with math/big and strings alone, step by step as the contract
// words it.
func naive(p events.Price, rounding events.Rounding, d events.UsageData, before *big.Rat) (*big.Int, error) {
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
	for _, part := range []*big.Rat{naiveGraduated(p.Graduated, d, before, rat), naiveVolume(p.Volume, d, before, rat), naiveMatrix(p.Matrix, d, rat)} {
		sum.Add(sum, part)
	}
	if tooMuch(sum) {
		return nil, events.ErrOverflow
	}
	for _, m := range p.Multiply {
		if m.When == fmt.Sprintf("status == %d", d.Status) {
			sum.Mul(sum, rat(m.By))
		}
	}
	if tooMuch(sum) {
		return nil, events.ErrOverflow
	}
	if p.Min != nil && sum.Cmp(rat(*p.Min)) < 0 {
		sum = rat(*p.Min)
	}
	if p.Max != nil && sum.Cmp(rat(*p.Max)) > 0 {
		sum = rat(*p.Max)
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

// tooMuch says that a step on the way is no number that a charge goes through,
// even where a maximum would bound it.
func tooMuch(r *big.Rat) bool {
	return !floor(new(big.Rat).Mul(r, big.NewRat(1_000_000, 1))).IsUint64()
}

// naiveGraduated asks of each tier how much of (before, before + n] it holds.
func naiveGraduated(t *events.Tiered, d events.UsageData, before *big.Rat, rat func(events.Quantity) *big.Rat) *big.Rat {
	sum := new(big.Rat)
	if t == nil {
		return sum
	}
	after := new(big.Rat).Add(before, rat(d.Quantity(t.Quantity)))
	begin := new(big.Rat)
	for _, tier := range t.Tiers {
		low, high := begin, after
		if low.Cmp(before) < 0 {
			low = before
		}
		if tier.UpTo != nil {
			if begin = rat(*tier.UpTo); begin.Cmp(high) < 0 {
				high = begin
			}
		}
		if high.Cmp(low) > 0 {
			sum.Add(sum, naivePart(new(big.Rat).Sub(high, low), tier, rat))
		}
	}
	return sum
}

func naiveVolume(t *events.Tiered, d events.UsageData, before *big.Rat, rat func(events.Quantity) *big.Rat) *big.Rat {
	if t == nil {
		return new(big.Rat)
	}
	n := rat(d.Quantity(t.Quantity))
	after := new(big.Rat).Add(before, n)
	for _, tier := range t.Tiers {
		if tier.UpTo == nil || after.Cmp(rat(*tier.UpTo)) <= 0 {
			return naivePart(n, tier, rat)
		}
	}
	panic("the last tier has no end")
}

func naivePart(n *big.Rat, tier events.PriceTier, rat func(events.Quantity) *big.Rat) *big.Rat {
	part := new(big.Rat).Mul(n, rat(tier.Price))
	if !tier.Per.IsZero() {
		part.Quo(part, rat(tier.Per))
	}
	return part
}

func naiveMatrix(m *events.Matrix, d events.UsageData, rat func(events.Quantity) *big.Rat) *big.Rat {
	if m == nil {
		return new(big.Rat)
	}
	price := rat(*m.Default)
	for _, cell := range m.Cells {
		if cell.Values[0] == d.Attributes["model"] {
			price = rat(cell.Price)
		}
	}
	return price.Mul(price, rat(d.Quantity(m.Quantity)))
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

// anyTiers is none, or up to four tiers that rise.
func anyTiers() *rapid.Generator[*events.Tiered] {
	return rapid.Custom(func(t *rapid.T) *events.Tiered {
		if rapid.Bool().Draw(t, "untiered") {
			return nil
		}
		tiered := &events.Tiered{Quantity: rapid.SampledFrom(quantityNames).Draw(t, "name")}
		ends := rapid.SliceOfNDistinct(anyQuantity(true), 0, 3, func(q events.Quantity) string { return q.String() }).Draw(t, "ends")
		slices.SortFunc(ends, func(a, b events.Quantity) int { return a.Total().Compare(b.Total()) })
		for i := range ends {
			tiered.Tiers = append(tiered.Tiers, events.PriceTier{UpTo: &ends[i], Price: anyQuantity(false).Draw(t, "price"), Per: anyQuantity(false).Draw(t, "per")})
		}
		tiered.Tiers = append(tiered.Tiers, events.PriceTier{Price: anyQuantity(false).Draw(t, "price")})
		return tiered
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
		p.Graduated, p.Volume = anyTiers().Draw(t, "graduated"), anyTiers().Draw(t, "volume")
		if rapid.IntRange(0, 3).Draw(t, "matrix") == 0 {
			p.Matrix = &events.Matrix{By: []string{"model"}, Quantity: name.Draw(t, "name"), Default: quantity("0.25"), Cells: []events.Cell{
				{Values: []string{"a"}, Price: anyQuantity(false).Draw(t, "cell")}, {Values: []string{""}, Price: anyQuantity(false).Draw(t, "empty cell")}}}
		}
		for range rapid.IntRange(0, 2).Draw(t, "multiply") {
			when := rapid.SampledFrom([]string{"status == 200", "status == 404"}).Draw(t, "when")
			p.Multiply = append(p.Multiply, events.Multiplier{When: when, By: anyQuantity(false).Draw(t, "by")})
		}
		p.Max = optional(anyQuantity(false)).Draw(t, "max")
		if p.Max != nil && p.Min != nil && p.Max.Rat().Cmp(p.Min.Rat()) < 0 {
			p.Max, p.Min = p.Min, p.Max
		}
		if p.Flat == nil && p.Min == nil && len(p.PerUnit) == 0 && p.Package == nil && p.Graduated == nil && p.Volume == nil && p.Matrix == nil {
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
		d.Status = rapid.SampledFrom([]int{200, 404}).Draw(t, "status")
		d.Attributes = rapid.SampledFrom([]map[string]string{nil, {"model": "a"}, {"model": "b"}}).Draw(t, "attributes")
		before := anyBefore(t, p, d)
		card, err := rating.New(events.RateCard{Card: "c", Rounding: rounding, Rules: []events.Rule{{Name: "r", Price: p}}})
		if err != nil {
			// Only a bound beyond what a charge may be is refused at New.
			most := events.MustQuantity(events.MaxCredits.String()).Total()
			if (p.Min == nil || p.Min.Total().Compare(most) <= 0) && (p.Max == nil || p.Max.Total().Compare(most) <= 0) {
				t.Fatalf("refused a price that rates: %v", err)
			}
			return
		}
		want, wantErr := naive(p, rounding, d, before.Rat())
		context := rating.Context{Used: func(events.Counter) (events.Total, error) { return before, nil }}
		got, err := card.Rate(events.Usage{Data: d}, context)
		slow, slowErr := card.Slow().Rate(events.Usage{Data: d}, context)
		if diff := cmp.Diff(slow, got, cmp.AllowUnexported(events.Quantity{}, events.Total{})); diff != "" || (err == nil) != (slowErr == nil) {
			t.Fatalf("small words say %v, big ones %v:\n%s", err, slowErr, diff)
		}
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

// anyBefore is where counters stand before d: anywhere, or where d reaches the
// very end of a tier.
func anyBefore(t *rapid.T, p events.Price, d events.UsageData) events.Total {
	for _, tiered := range []*events.Tiered{p.Graduated, p.Volume} {
		if tiered == nil || len(tiered.Tiers) == 1 || rapid.Bool().Draw(t, "anywhere") {
			continue
		}
		end := tiered.Tiers[rapid.IntRange(0, len(tiered.Tiers)-2).Draw(t, "end")].UpTo.Total()
		if before, err := end.Sub(d.Quantity(tiered.Quantity).Total()); err == nil {
			return before
		}
	}
	return anyQuantity(false).Draw(t, "before").Total()
}

// checkArithmetic verifies that the explanation ends with the amount.
func checkArithmetic(t *rapid.T, c rating.Charge) {
	text := c.Arithmetic
	if cut := strings.LastIndex(text, " ("); cut >= 0 && strings.HasSuffix(text, ")") {
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
		_, err = card.Rate(events.Usage{Data: events.UsageData{Operation: operation}}, rating.Context{})
		if got, want := err == nil, naiveGlob(pattern).MatchString(operation); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, operation, got, want)
		}
	})
}
