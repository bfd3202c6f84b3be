package rating

import (
	"fmt"
	"math/big"

	"github.com/drawdown-credits/drawdown/events"
)

// term is one part of a price that depends on a counter or on attributes: units
// at a price.
type term struct {
	units events.Total
	rate  *rate
	// The arithmetic names what the term is: from and to of a counter, or the
	// note of its rate.
	counts   string // the quantity counted; empty for none
	from, to events.Total
}

// rate is a price for every per of a quantity.
type rate struct {
	price      *big.Rat // price / per, in credits
	multiplier uint64   // the same over the fraction's denominator, in micro-credits
	behind     string   // " / 1000 × 0.15", as the arithmetic has it behind the units
	note       string   // " (large, eu)"
}

func newRate(price, per events.Quantity, note string) rate {
	per = orOne(per)
	behind := " × " + price.String()
	if divisor := per.String(); divisor != "1" {
		behind = " / " + divisor + behind
	}
	return rate{price: new(big.Rat).Quo(price.Rat(), per.Rat()), behind: behind, note: note}
}

func (t *term) rat() *big.Rat { return new(big.Rat).Mul(t.units.Rat(), t.rate.price) }

// tiered is events.Tiered compiled.
type tiered struct {
	counter events.Counter
	ends    []events.Total // of all tiers but the last
	rates   []rate         // one more
}

// compileTiered returns nil for no tiers.
func compileTiered(t *events.Tiered, counter events.Counter) (*tiered, error) {
	if t == nil {
		return nil, nil
	}
	refuse := func(i int, format string, args ...any) (*tiered, error) {
		return nil, fmt.Errorf("%s tier %d of %.64q: %s: %w", counter.Part, i+1, t.Quantity, fmt.Sprintf(format, args...), events.ErrInvalid)
	}
	if len(t.Tiers) == 0 {
		return nil, fmt.Errorf("%s price of %.64q: expected at least one tier: %w", counter.Part, t.Quantity, events.ErrInvalid)
	}
	counter.Quantity = t.Quantity
	compiled := &tiered{counter: counter}
	var before events.Total
	for i, tier := range t.Tiers {
		switch last := i == len(t.Tiers)-1; {
		case last && tier.UpTo != nil:
			return refuse(i, "expected no end in the last tier, found up_to %s", tier.UpTo)
		case !last && tier.UpTo == nil:
			return refuse(i, "expected an end: another tier follows")
		case !last && tier.UpTo.Total().Compare(before) <= 0:
			return refuse(i, "expected an end above %s, found up_to %s", before, tier.UpTo)
		case !last:
			before = tier.UpTo.Total()
			compiled.ends = append(compiled.ends, before)
		}
		compiled.rates = append(compiled.rates, newRate(tier.Price, tier.Per, ""))
	}
	return compiled, nil
}

// count notes that the event moves the counter, and returns from where to where.
func (t *tiered) count(e *event) (from, to events.Total, err error) {
	amount := e.usage.Data.Quantity(t.counter.Quantity)
	if from, err = e.used(t.counter); err != nil {
		return from, to, fmt.Errorf("look up what %s counted: %w", t.counter.Quantity, err)
	}
	if to, err = from.Add(amount.Total()); err != nil {
		return from, to, fmt.Errorf("count %s: %w", t.counter.Quantity, err)
	}
	if !amount.IsZero() {
		e.tiers = append(e.tiers, events.Tier{
			Part: t.counter.Part, Quantity: t.counter.Quantity, Period: e.context.Period, Before: from, Amount: amount,
		})
	}
	return from, to, nil
}

// spread appends a term for each tier that the event's units fall into.
func (t *tiered) spread(terms []term, e *event) ([]term, error) {
	from, to, err := t.count(e)
	if err != nil {
		return nil, err
	}
	for i := range t.rates {
		end, ends := to, i == len(t.rates)-1
		if !ends && t.ends[i].Compare(from) <= 0 {
			continue
		}
		if !ends && t.ends[i].Compare(to) < 0 {
			end = t.ends[i]
		}
		units, err := end.Sub(from)
		if err != nil {
			return nil, fmt.Errorf("spread %s: %w", t.counter.Quantity, err)
		}
		terms = append(terms, term{units: units, rate: &t.rates[i], counts: t.counter.Quantity, from: from, to: end})
		if from = end; from == to {
			break
		}
	}
	return terms, nil
}

// whole appends one term: all units at the tier in which the total then lies.
func (t *tiered) whole(terms []term, e *event) ([]term, error) {
	from, to, err := t.count(e)
	if err != nil {
		return nil, err
	}
	i := 0
	for i < len(t.ends) && t.ends[i].Compare(to) < 0 {
		i++
	}
	units := e.usage.Data.Quantity(t.counter.Quantity).Total()
	return append(terms, term{units: units, rate: &t.rates[i], counts: t.counter.Quantity, from: from, to: to}), nil
}
