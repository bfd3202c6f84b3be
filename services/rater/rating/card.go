package rating

import (
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// ErrNoRule reports a usage event that no rule of the card matches. It can
// never be rated by this version of the card.
var ErrNoRule = errors.New("no rule matches")

// Card is one version of a rate card, compiled. It is immutable and safe for
// use by several goroutines.
type Card struct {
	name          string
	version       int
	effectiveFrom time.Time
	rounding      events.Rounding
	rules         []rule
	tiered        bool
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
}

// New compiles card. It refuses, with events.ErrInvalid, a card that could not
// rate: no rules, a malformed match, a package of size 0, an unknown rounding.
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
	for _, r := range card.Rules {
		compiled, err := compileRule(r)
		if err != nil {
			return nil, fmt.Errorf("compile rule %.64q: %w", r.Name, err)
		}
		c.rules = append(c.rules, compiled)
	}
	return c, nil
}

func compileRule(r events.Rule) (rule, error) {
	m, err := compileMatch(r.Match)
	if err != nil {
		return rule{}, err
	}
	p, err := compilePrice(r.Price)
	if err != nil {
		return rule{}, err
	}
	return rule{name: r.Name, match: m, price: p}, nil
}

// Name returns the card's name.
func (c *Card) Name() string { return c.name }

// Version returns which version of the card this is.
func (c *Card) Version() int { return c.version }

// EffectiveFrom returns since when the version is in force; zero is always.
func (c *Card) EffectiveFrom() time.Time { return c.effectiveFrom }

// Rate returns what u costs by the first rule that matches it. It answers
// ErrNoRule when none does, and events.ErrOverflow when the charge exceeds
// events.MaxCredits.
func (c *Card) Rate(u events.Usage) (Charge, error) {
	for i := range c.rules {
		r := &c.rules[i]
		if !r.match.matches(&u.Data) {
			continue
		}
		amount, arithmetic, err := r.price.charge(&u.Data, c.rounding)
		if err != nil {
			return Charge{}, fmt.Errorf("rule %q: %w", r.name, err)
		}
		return Charge{Amount: amount, Rule: r.name, Arithmetic: arithmetic}, nil
	}
	return Charge{}, fmt.Errorf("rate card %s version %d: %w", c.name, c.version, ErrNoRule)
}
