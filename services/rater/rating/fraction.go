package rating

import (
	"math/big"
	"math/bits"

	"github.com/drawdown-credits/drawdown/events"
)

// fraction is a price over one common denominator, so that the usual charge is
// a few 64-bit multiplications and one division. It computes exactly what
// bigSteps does, or says that its words are too small.
type fraction struct {
	denominator uint64 // of every multiplier, in micro-credits
	flat        uint64
	units       []unit
	pack        *pack
}

type unit struct {
	quantity   string
	multiplier uint64 // price / per
}

type pack struct {
	quantity    string
	coefficient uint64 // of the size
	places      int
	multiplier  uint64 // price
}

// compileFraction returns nil when the multipliers do not fit 64 bits. Else it
// gives each of rates its multiplier.
func compileFraction(p events.Price, rates []*rate) *fraction {
	prices := []*big.Rat{new(big.Rat)}
	if p.Flat != nil {
		prices[0] = p.Flat.Rat()
	}
	for _, t := range p.PerUnit {
		prices = append(prices, new(big.Rat).Quo(t.Price.Rat(), per(t).Rat()))
	}
	if p.Package != nil {
		prices = append(prices, p.Package.Price.Rat())
	}
	for _, r := range rates {
		prices = append(prices, new(big.Rat).Set(r.price))
	}
	denominator, multipliers, ok := commonDenominator(prices)
	if !ok {
		return nil
	}
	f := &fraction{denominator: denominator, flat: multipliers[0]}
	for i, t := range p.PerUnit {
		f.units = append(f.units, unit{t.Quantity, multipliers[1+i]})
	}
	if p.Package != nil {
		coefficient, places := p.Package.Size.Fraction()
		f.pack = &pack{p.Package.Quantity, coefficient, places, multipliers[1+len(p.PerUnit)]}
	}
	for i, r := range rates {
		r.multiplier = multipliers[len(multipliers)-len(rates)+i]
	}
	return f
}

// commonDenominator brings prices, in credits, over one denominator in
// micro-credits.
func commonDenominator(prices []*big.Rat) (denominator uint64, multipliers []uint64, ok bool) {
	common := big.NewInt(1)
	for _, p := range prices {
		p.Mul(p, new(big.Rat).SetInt(microPerCredit))
		common.Div(new(big.Int).Mul(common, p.Denom()), new(big.Int).GCD(nil, nil, common, p.Denom()))
	}
	if !common.IsUint64() {
		return 0, nil, false
	}
	for _, p := range prices {
		m := new(big.Int).Mul(p.Num(), common)
		if m.Div(m, p.Denom()); !m.IsUint64() {
			return 0, nil, false
		}
		multipliers = append(multipliers, m.Uint64())
	}
	return common.Uint64(), multipliers, true
}

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// steps returns the price of d with terms, and its product with the factors; ok
// is false when 128 bits, or 64 for one number, are not enough.
func (f *fraction) steps(d *events.UsageData, terms []term, factors []*multiplier) (sum, product exact, ok bool) {
	places := 0 // the most of any number of units: everything is scaled by 10^places
	for i := range f.units {
		_, n := d.Quantity(f.units[i].quantity).Fraction()
		places = max(places, n)
	}
	for i := range terms {
		places = max(places, terms[i].places())
	}
	high, denominator := bits.Mul64(f.denominator, pow10[places])
	total := accumulator{failed: high != 0}
	total.add(f.flat, 1, pow10[places])
	for i := range f.units {
		coefficient, n := d.Quantity(f.units[i].quantity).Fraction()
		total.add(f.units[i].multiplier, coefficient, pow10[places-n])
	}
	if f.pack != nil {
		total.add(f.pack.multiplier, f.pack.started(d, &total), pow10[places])
	}
	for i := range terms {
		whole, parts := terms[i].units.Fraction()
		total.add(terms[i].rate.multiplier, whole, pow10[places])
		total.add(terms[i].rate.multiplier, parts/pow10[quantityPlaces-places], 1)
	}
	if sum, ok = total.over(denominator); !ok {
		return sum, sum, false
	}
	product = sum
	for _, m := range factors {
		coefficient, n := m.by.Fraction()
		high, denominator = bits.Mul64(denominator, pow10[n])
		total.failed = total.failed || high != 0 || total.high != 0
		total.high, total.low = bits.Mul64(total.low, coefficient)
	}
	if len(factors) > 0 {
		product, ok = total.over(denominator)
	}
	return sum, product, ok
}

// quantityPlaces is the most places that a quantity or a total has.
const quantityPlaces = len(pow10) - 1

// places returns how many places the units of t have.
func (t *term) places() int {
	_, parts := t.units.Fraction()
	if parts == 0 {
		return 0
	}
	n := quantityPlaces
	for ; parts%10 == 0; n-- {
		parts /= 10
	}
	return n
}

// started returns how many packages d starts.
func (p *pack) started(d *events.UsageData, total *accumulator) uint64 {
	coefficient, places := d.Quantity(p.quantity).Fraction()
	high, low := bits.Mul64(coefficient, pow10[p.places])
	over, size := bits.Mul64(p.coefficient, pow10[places])
	if over != 0 || high >= size {
		total.failed = true
		return 0
	}
	whole, rest := bits.Div64(high, low, size)
	if rest > 0 {
		whole++
		total.failed = total.failed || whole == 0
	}
	return whole
}

// accumulator is a 128-bit sum that notices when it, or a factor, overflows.
type accumulator struct {
	high, low uint64
	failed    bool
}

// add adds multiplier × n × scale.
func (a *accumulator) add(multiplier, n, scale uint64) {
	over, factor := bits.Mul64(n, scale)
	high, low := bits.Mul64(multiplier, factor)
	var carry uint64
	a.low, carry = bits.Add64(a.low, low, 0)
	a.high, carry = bits.Add64(a.high, high, carry)
	a.failed = a.failed || over != 0 || carry != 0
}

// over returns the sum divided by a denominator, in exact digits.
func (a *accumulator) over(denominator uint64) (e exact, ok bool) {
	if a.failed || a.high >= denominator {
		return exact{}, false
	}
	micro, rest := bits.Div64(a.high, a.low, denominator)
	high, low := bits.Mul64(rest, fractionUnit)
	digits, rest := bits.Div64(high, low, denominator)
	return exact{micro: micro, fraction: digits, more: rest != 0}, true
}
