package rating

import (
	"fmt"
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Outcome is what became of one example of a card.
type Outcome struct {
	Path     string // JSON pointer to the example in the card: "/rules/1/examples/0"
	Rule     string // the rule that is to rate it; empty for any
	Expected events.Credits
	Charge   Charge
	Err      error // why it was not rated
}

// Fault says what is wrong with the card or the example; it is empty when the
// example came true.
func (o Outcome) Fault() string {
	switch {
	case o.Err != nil:
		return fmt.Sprintf("found no charge (%v); expected %s credits", o.Err, o.Expected)
	case o.Rule != "" && o.Charge.Rule != o.Rule:
		return fmt.Sprintf("found rule %.64q rating the call at %s credits; expected rule %.64q and %s credits", o.Charge.Rule, o.Charge.Amount, o.Rule, o.Expected)
	case o.Charge.Amount != o.Expected:
		return fmt.Sprintf("found %s credits by rule %.64q (%s); expected %s", o.Charge.Amount, o.Charge.Rule, o.Charge.Arithmetic, o.Expected)
	}
	return ""
}

// Test rates the examples of card, in the order in which it has them: those of
// its rules, then its own. The error is that of New.
func Test(card events.RateCard) ([]Outcome, error) {
	compiled, err := New(card)
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	test := func(path, rule string, examples []events.Example) {
		for i, example := range examples {
			o := Outcome{Path: path + "/examples/" + strconv.Itoa(i), Rule: rule, Expected: example.Credits}
			o.Charge, o.Err = compiled.try(example.Event)
			outcomes = append(outcomes, o)
		}
	}
	for i, r := range card.Rules {
		test("/rules/"+strconv.Itoa(i), r.Name, r.Examples)
	}
	test("", "", card.Examples)
	return outcomes, nil
}

// try rates the call of an example. One without a time happens when the card
// comes into force, or in 1970 when it is for all time.
func (c *Card) try(e events.ExampleEvent) (Charge, error) {
	at := e.Time
	if at.IsZero() {
		at = c.effectiveFrom
	}
	if at.IsZero() {
		at = time.Unix(0, 0).UTC()
	}
	usage := events.Usage{Account: e.Account, Time: at, Data: events.UsageData{
		Operation: e.Operation, Status: e.Status, Project: e.Project, Key: e.Key, Quantities: e.Quantities, Attributes: e.Attributes,
	}}
	start, _ := events.PeriodAround(1, 0, time.Unix(0, 0), at)
	return c.Rate(usage, Context{Plan: e.Plan, Period: start, Used: func(n events.Counter) (events.Total, error) {
		return e.Used[n.Quantity].Total(), nil
	}})
}
