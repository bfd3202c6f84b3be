package rating

import (
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
)

// price is events.Price compiled.
type price struct {
	source events.Price
	min    exact
	hasMin bool
	text   priceText
	fast   *fraction // nil when the prices have no small common denominator
}

func compilePrice(p events.Price) (price, error) {
	if p.Package != nil && p.Package.Size.IsZero() {
		return price{}, fmt.Errorf("package of %.64q: expected a size above 0: %w", p.Package.Quantity, events.ErrInvalid)
	}
	if p.Flat == nil && len(p.PerUnit) == 0 && p.Package == nil && p.Min == nil {
		return price{}, fmt.Errorf("price: expected flat, per_unit, package or min: %w", events.ErrInvalid)
	}
	compiled := price{source: p, text: compileText(p), fast: compileFraction(p)}
	if p.Min != nil {
		least, err := exactOf(p.Min.Rat())
		if err != nil {
			return price{}, fmt.Errorf("min %s: %w", p.Min, err)
		}
		compiled.min, compiled.hasMin = least, true
	}
	return compiled, nil
}

// charge prices one event: the exact sum of the parts, then at least the
// minimum, then rounded once.
func (p *price) charge(d *events.UsageData, rounding events.Rounding) (events.Credits, string, error) {
	sum, ok := exact{}, false
	if p.fast != nil {
		sum, ok = p.fast.sum(d)
	}
	if !ok {
		var err error
		if sum, err = exactOf(sumRat(&p.source, d)); err != nil {
			return 0, "", err
		}
	}
	due := sum
	if p.hasMin && sum.less(p.min) {
		due = p.min
	}
	amount, err := due.round(rounding)
	if err != nil {
		return 0, "", err
	}
	return amount, p.arithmetic(d, sum, due, amount, rounding), nil
}

// per is the denominator of t: an absent Per means 1.
func per(t events.PerUnit) events.Quantity {
	if t.Per.IsZero() {
		return events.WholeQuantity(1)
	}
	return t.Per
}
