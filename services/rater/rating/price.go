package rating

import (
	"fmt"
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

// price is events.Price compiled.
type price struct {
	source    events.Price
	fast      *fraction // nil when the prices have no small common denominator
	graduated *tiered
	volume    *tiered
	matrix    *matrix
	multiply  []multiplier
	min, max  exact
	hasMin    bool
	hasMax    bool
	text      priceText
	dynamic   bool // graduated, volume or matrix: terms that depend on more than quantities
}

type multiplier struct {
	when *condition.Condition
	by   events.Quantity
	text string
}

// compilePrice compiles the price of a card's rule, whose names its counters
// have.
func compilePrice(p events.Price, card, rule string) (price, error) {
	if p.Package != nil && p.Package.Size.IsZero() {
		return price{}, fmt.Errorf("package of %.64q: expected a size above 0: %w", p.Package.Quantity, events.ErrInvalid)
	}
	if p.Flat == nil && len(p.PerUnit) == 0 && p.Package == nil && p.Graduated == nil && p.Volume == nil && p.Matrix == nil && p.Min == nil {
		return price{}, fmt.Errorf("price: expected flat, per_unit, package, graduated, volume, matrix or min: %w", events.ErrInvalid)
	}
	compiled := price{source: p, text: compileText(p)}
	compiled.dynamic = p.Graduated != nil || p.Volume != nil || p.Matrix != nil
	var err error
	counter := func(part events.TierPart) events.Counter { return events.Counter{Card: card, Rule: rule, Part: part} }
	if compiled.graduated, err = compileTiered(p.Graduated, counter(events.PartGraduated)); err != nil {
		return price{}, err
	}
	if compiled.volume, err = compileTiered(p.Volume, counter(events.PartVolume)); err != nil {
		return price{}, err
	}
	if compiled.matrix, err = compileMatrix(p.Matrix); err != nil {
		return price{}, err
	}
	for i, m := range p.Multiply {
		when, err := condition.Compile(m.When)
		if err != nil {
			return price{}, fmt.Errorf("multiply, element %d: %w", i+1, err)
		}
		compiled.multiply = append(compiled.multiply, multiplier{when: when, by: m.By, text: " × " + m.By.String()})
	}
	compiled.fast = compileFraction(p, compiled.rates())
	return compiled, compiled.compileBounds(p)
}

// rates returns those of all terms.
func (p *price) rates() (all []*rate) {
	for _, t := range []*tiered{p.graduated, p.volume} {
		if t == nil {
			continue
		}
		for i := range t.rates {
			all = append(all, &t.rates[i])
		}
	}
	if p.matrix != nil {
		for _, key := range slices.Sorted(maps.Keys(p.matrix.rates)) {
			all = append(all, p.matrix.rates[key])
		}
		if p.matrix.standard != nil {
			all = append(all, p.matrix.standard)
		}
	}
	return all
}

func (p *price) compileBounds(source events.Price) error {
	var err error
	if source.Min != nil {
		if p.min, err = exactOf(source.Min.Rat()); err != nil {
			return fmt.Errorf("min %s: %w", source.Min, err)
		}
		p.hasMin = true
	}
	if source.Max != nil {
		if p.max, err = exactOf(source.Max.Rat()); err != nil {
			return fmt.Errorf("max %s: %w", source.Max, err)
		}
		p.hasMax = true
	}
	if p.hasMin && p.hasMax && p.max.less(p.min) {
		return fmt.Errorf("min %s: expected at most the max of %s: %w", source.Min, source.Max, events.ErrInvalid)
	}
	return nil
}

// charge prices one event: the exact sum of the parts, times each multiplier
// that is due, then at least the minimum and at most the maximum, then rounded
// once.
func (p *price) charge(e *event, rounding events.Rounding) (events.Credits, string, error) {
	var terms []term
	var factors []*multiplier
	var err error
	if p.dynamic {
		var space [2]term // what usually suffices stays off the heap
		if terms, err = p.terms(space[:0], e); err != nil {
			return 0, "", err
		}
	}
	if len(p.multiply) > 0 {
		var space [4]*multiplier
		if factors, err = p.factors(space[:0], e); err != nil {
			return 0, "", err
		}
	}
	s, err := p.steps(&e.usage.Data, terms, factors)
	if err != nil {
		return 0, "", err
	}
	amount, err := s.due.round(rounding)
	if err != nil {
		return 0, "", err
	}
	return amount, p.arithmetic(&e.usage.Data, &s, amount, rounding), nil
}

// steps are the numbers through which a charge comes about.
type steps struct {
	terms   []term
	factors []*multiplier // that were due
	sum     exact         // of all parts
	product exact         // the sum, multiplied
	due     exact         // within minimum and maximum
}

// steps works the numbers out, with small words where they suffice.
func (p *price) steps(d *events.UsageData, terms []term, factors []*multiplier) (steps, error) {
	s := steps{terms: terms, factors: factors}
	ok := false
	if p.fast != nil {
		s.sum, s.product, ok = p.fast.steps(d, terms, factors)
	}
	if !ok {
		if err := p.bigSteps(&s, d); err != nil {
			return s, err
		}
	}
	s.due = s.product
	if p.hasMin && s.due.less(p.min) {
		s.due = p.min
	}
	if p.hasMax && p.max.less(s.due) {
		s.due = p.max
	}
	return s, nil
}

// bigSteps works sum and product out with numbers of any size.
func (p *price) bigSteps(s *steps, d *events.UsageData) error {
	sum := sumRat(&p.source, d)
	for i := range s.terms {
		sum.Add(sum, s.terms[i].rat())
	}
	var err error
	if s.sum, err = exactOf(sum); err != nil {
		return err
	}
	for _, m := range s.factors {
		sum.Mul(sum, m.by.Rat())
	}
	s.product, err = exactOf(sum)
	return err
}

// terms appends the parts that depend on counters and attributes, and notes what
// they add to counters.
func (p *price) terms(terms []term, e *event) ([]term, error) {
	var err error
	if p.graduated != nil {
		if terms, err = p.graduated.spread(terms, e); err != nil {
			return nil, err
		}
	}
	if p.volume != nil {
		if terms, err = p.volume.whole(terms, e); err != nil {
			return nil, err
		}
	}
	if p.matrix != nil {
		return p.matrix.term(terms, &e.usage.Data)
	}
	return terms, nil
}

// factors appends the multipliers that are due.
func (p *price) factors(due []*multiplier, e *event) ([]*multiplier, error) {
	for i := range p.multiply {
		holds, err := e.holds(p.multiply[i].when)
		if err != nil {
			return nil, fmt.Errorf("multiply, element %d: %w", i+1, err)
		}
		if holds {
			due = append(due, &p.multiply[i])
		}
	}
	return due, nil
}

// per is the denominator of t: an absent Per means 1.
func per(t events.PerUnit) events.Quantity { return orOne(t.Per) }

func orOne(q events.Quantity) events.Quantity {
	if q.IsZero() {
		return events.WholeQuantity(1)
	}
	return q
}
