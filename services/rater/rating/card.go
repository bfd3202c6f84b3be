package rating

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

// ErrUnratable reports a usage event that can never be rated by this version of
// the card: no rule matches it, a condition fails for it, or a matrix has no
// price for it.
var ErrUnratable = errors.New("unratable")

// unratable is why an event is; it matches ErrUnratable.
type unratable struct{ reason string }

func (u *unratable) Error() string { return u.reason }

func (u *unratable) Is(target error) bool { return target == ErrUnratable }

// Context is what is known of an account when its usage is rated.
type Context struct {
	Plan string // the account's; empty when it has none
	// Period is when the billing period started that contains the event's time.
	Period time.Time
	// Used returns where a counter of the account stands in that period, before
	// the event; Rate passes its errors on. nil says that all stand at 0.
	Used func(events.Counter) (events.Total, error)
}

// Card is one version of a rate card, compiled. It is immutable and safe for
// use by several goroutines.
type Card struct {
	name          string
	version       int
	effectiveFrom time.Time
	rounding      events.Rounding
	rules         []rule
	tiered        bool
	ofAccounts    bool // it asks for more of an account than its name
}

type rule struct {
	name  string
	match match
	price price
}

// Charge is what one usage event costs and why.
type Charge struct {
	Amount events.Credits // 0 to events.MaxCredits
	Rule   string
	// Arithmetic is how Amount came about, as a person would write it:
	// "0.25 + ceil(203023 / 1048576) × 1 = 1.25".
	Arithmetic string
	// Tiers says what the charge adds to each tier counter of the rule.
	Tiers []events.Tier
}

// New compiles card. It refuses, with events.ErrInvalid, a card that could not
// rate: no rules, a malformed match or condition, a package of size 0, tiers
// with a gap, a matrix whose cells do not fit, a minimum above the maximum, an
// unknown rounding, conditions that may cost more than condition.SumMax.
func New(card events.RateCard) (*Card, error) {
	c := &Card{
		name:          card.Card,
		version:       card.Version,
		effectiveFrom: card.EffectiveFrom,
		rounding:      card.Rounding,
		rules:         make([]rule, 0, len(card.Rules)),
	}
	switch c.rounding {
	case "":
		c.rounding = events.RoundHalfUp
	case events.RoundHalfUp, events.RoundHalfEven, events.RoundUp, events.RoundDown:
	default:
		return nil, fmt.Errorf("rounding %.64q: expected half_up, half_even, up or down: %w", card.Rounding, events.ErrInvalid)
	}
	if len(card.Rules) == 0 {
		return nil, fmt.Errorf("rate card %.64q: expected at least one rule: %w", card.Card, events.ErrInvalid)
	}
	var conditions condition.Sum
	for _, r := range card.Rules {
		compiled, err := compileRule(card.Card, r)
		if err != nil {
			return nil, fmt.Errorf("compile rule %.64q: %w", r.Name, err)
		}
		c.rules = append(c.rules, compiled)
		c.tiered = c.tiered || compiled.price.graduated != nil || compiled.price.volume != nil
		c.ofAccounts = c.ofAccounts || c.tiered || compiled.readsPlan()
		conditions.Add(compiled.costs())
	}
	if i, detail := conditions.Excess(); detail != "" {
		return nil, fmt.Errorf("rule %.64q: %s: %w", card.Rules[i].Name, detail, events.ErrInvalid)
	}
	return c, nil
}

func compileRule(card string, r events.Rule) (rule, error) {
	m, err := compileMatch(r.Match)
	if err != nil {
		return rule{}, err
	}
	p, err := compilePrice(r.Price, card, r.Name)
	if err != nil {
		return rule{}, err
	}
	return rule{name: r.Name, match: m, price: p}, nil
}

// readsPlan reports whether the account's plan matters to r.
func (r *rule) readsPlan() bool {
	return r.match.plan != "" || r.match.when != nil && r.match.when.ReadsPlan() ||
		slices.ContainsFunc(r.price.multiply, func(m multiplier) bool { return m.when.ReadsPlan() })
}

// costs returns what the conditions of r may cost.
func (r *rule) costs() (match, price uint64) {
	if r.match.when != nil {
		match = r.match.when.Cost()
	}
	for _, m := range r.price.multiply {
		price += m.when.Cost()
	}
	return match, price
}

// ReadsAccounts reports whether Rate depends on the plan or the billing period
// of its Context.
func (c *Card) ReadsAccounts() bool { return c.ofAccounts }

// Name returns the card's name.
func (c *Card) Name() string { return c.name }

// Version returns which version of the card this is.
func (c *Card) Version() int { return c.version }

// EffectiveFrom returns since when the version is in force; zero is always.
func (c *Card) EffectiveFrom() time.Time { return c.effectiveFrom }

// Rate returns what u costs by the first rule that matches it. It answers
// ErrUnratable when none does or the rule cannot price it, and
// events.ErrOverflow when the charge exceeds events.MaxCredits, or a counter
// what an events.Total holds.
func (c *Card) Rate(u events.Usage, context Context) (Charge, error) {
	e := event{usage: u, context: context}
	defer e.release()
	for i := range c.rules {
		r := &c.rules[i]
		matches, err := r.match.matches(&e)
		if err != nil {
			return Charge{}, fmt.Errorf("rule %q: %w", r.name, err)
		}
		if !matches {
			continue
		}
		amount, arithmetic, err := r.price.charge(&e, c.rounding)
		if err != nil {
			return Charge{}, fmt.Errorf("rule %q: %w", r.name, err)
		}
		return Charge{Amount: amount, Rule: r.name, Arithmetic: arithmetic, Tiers: e.tiers}, nil
	}
	return Charge{}, fmt.Errorf("rate card %s version %d: %w", c.name, c.version, &unratable{"no rule matches"})
}

// event is a usage event that is being rated. It holds values, not pointers to
// them, so that it stays off the heap.
type event struct {
	usage   events.Usage
	context Context
	asked   *asked        // nil until a condition is asked
	tiers   []events.Tier // what the charge adds to counters
}

// asked is what conditions see of an event: a copy, on the heap.
type asked struct {
	input condition.Input
	usage events.Usage
}

// spare are for the next events that conditions are asked about.
var spare = sync.Pool{New: func() any { return new(asked) }}

// holds asks a condition about the event.
func (e *event) holds(c *condition.Condition) (bool, error) {
	if e.asked == nil {
		e.asked = spare.Get().(*asked)
		e.asked.usage = e.usage
		e.asked.input = condition.Input{Usage: &e.asked.usage, Plan: e.context.Plan}
	}
	holds, err := c.Holds(&e.asked.input)
	if err != nil {
		return false, &unratable{err.Error()}
	}
	return holds, nil
}

// release ends the asking of conditions.
func (e *event) release() {
	if e.asked != nil {
		*e.asked = asked{}
		spare.Put(e.asked)
	}
}

// used returns where a counter stands.
func (e *event) used(c events.Counter) (events.Total, error) {
	if e.context.Used == nil {
		return events.Total{}, nil
	}
	return e.context.Used(c)
}
