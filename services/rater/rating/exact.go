package rating

import (
	"fmt"
	"math/big"

	"github.com/drawdown-credits/drawdown/events"
)

// exact is a non-negative number of credits before rounding: whole
// micro-credits, the next 12 decimal places, and whether anything follows
// them. That is enough to round by any rule, and to compare with a number of
// at most 18 places, as every minimum is.
type exact struct {
	micro    uint64
	fraction uint64 // of a micro-credit, in units of 10^-12
	more     bool
}

const fractionUnit = 1_000_000_000_000

// less reports e < f, where at least one has no more than 18 places, as every
// minimum and maximum.
func (e exact) less(f exact) bool {
	if e.micro != f.micro {
		return e.micro < f.micro
	}
	return e.fraction < f.fraction || e.fraction == f.fraction && !e.more && f.more
}

// whole reports whether e needs no rounding.
func (e exact) whole() bool { return e.fraction == 0 && !e.more }

// round returns e in whole micro-credits.
func (e exact) round(rounding events.Rounding) (events.Credits, error) {
	up := false
	if !e.whole() {
		const half = fractionUnit / 2
		isHalf := e.fraction == half && !e.more
		switch rounding {
		case events.RoundHalfUp:
			up = e.fraction >= half
		case events.RoundHalfEven:
			up = e.fraction >= half && (!isHalf || e.micro%2 == 1)
		case events.RoundUp:
			up = true
		case events.RoundDown:
		}
	}
	const most = uint64(events.MaxCredits)
	if e.micro > most || e.micro == most && up {
		return 0, fmt.Errorf("charge exceeds %s credits: %w", events.MaxCredits, events.ErrOverflow)
	}
	if up {
		return events.Credits(e.micro) + 1, nil
	}
	return events.Credits(e.micro), nil
}

var (
	microPerCredit  = big.NewInt(int64(events.Credit))
	bigFractionUnit = big.NewInt(fractionUnit)
)

// exactOf cuts credits into an exact, or answers events.ErrOverflow.
func exactOf(credits *big.Rat) (exact, error) {
	var numerator, micro, fraction, rest big.Int
	numerator.Mul(credits.Num(), microPerCredit)
	micro.QuoRem(&numerator, credits.Denom(), &rest)
	if !micro.IsUint64() {
		return exact{}, fmt.Errorf("charge exceeds %s credits: %w", events.MaxCredits, events.ErrOverflow)
	}
	numerator.Mul(&rest, bigFractionUnit)
	fraction.QuoRem(&numerator, credits.Denom(), &rest)
	return exact{micro: micro.Uint64(), fraction: fraction.Uint64(), more: rest.Sign() != 0}, nil
}

// sumRat adds up the parts of p for d in credits, with numbers of any size.
func sumRat(p *events.Price, d *events.UsageData) *big.Rat {
	sum := new(big.Rat)
	if p.Flat != nil {
		sum.Add(sum, p.Flat.Rat())
	}
	for _, t := range p.PerUnit {
		part := d.Quantity(t.Quantity).Rat()
		part.Mul(part, t.Price.Rat())
		sum.Add(sum, part.Quo(part, per(t).Rat()))
	}
	if p.Package != nil {
		started := d.Quantity(p.Package.Quantity).Rat()
		started.Quo(started, p.Package.Size.Rat())
		started.SetInt(ceil(started))
		sum.Add(sum, started.Mul(started, p.Package.Price.Rat()))
	}
	return sum
}

// ceil returns the least whole number not below r, which is not negative.
func ceil(r *big.Rat) *big.Int {
	whole, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole
}
