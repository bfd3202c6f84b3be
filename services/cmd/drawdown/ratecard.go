package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// checkRateCard says what keeps a card from being applied: that it does not
// compile, or each example that does not come true.
func checkRateCard(card events.RateCard) []catalog.Problem {
	outcomes, err := rating.Test(card)
	if err != nil {
		return []catalog.Problem{{Detail: fmt.Sprintf("found a card that cannot rate: %v", err)}}
	}
	var problems []catalog.Problem
	for _, o := range outcomes {
		if fault := o.Fault(); fault != "" {
			problems = append(problems, catalog.Problem{Path: o.Path, Detail: fault})
		}
	}
	return problems
}

// cardTest is what `ratecard test` answers machines.
type cardTest struct {
	Card     string         `json:"card"`
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"`
	Examples []exampleTrial `json:"examples"`
}

// exampleTrial is one example and what became of it.
type exampleTrial struct {
	Example    string          `json:"example"` // JSON pointer into the card
	Passed     bool            `json:"passed"`
	Expected   events.Credits  `json:"expected"`
	Got        *events.Credits `json:"got,omitempty"` // absent when it was not rated
	Rule       string          `json:"rule,omitempty"`
	Arithmetic string          `json:"arithmetic,omitempty"`
	Fault      string          `json:"fault,omitempty"`
}

func (a *app) ratecardTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test FILE", Short: "Rate the examples written inside a rate card", Args: cobra.ExactArgs(1),
		Long: `Rate the examples written inside a rate card and show what each call costs and
why. It needs no running Drawdown and changes nothing. Exit status 1 when an
example does not come true; such a card is not applied either.`,
		Example: "  drawdown ratecard test prices.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			text, err := document(args[0])
			if err != nil {
				return err
			}
			card, err := catalog.ParseRateCard(filepath.Base(args[0]), text)
			if err != nil {
				return err
			}
			outcomes, err := rating.Test(card)
			if err != nil {
				return err
			}
			return a.showTrials(card.Card, outcomes)
		},
	}
}

func (a *app) showTrials(card string, outcomes []rating.Outcome) error {
	test := cardTest{Card: card, Examples: []exampleTrial{}}
	for _, o := range outcomes {
		trial := exampleTrial{Example: o.Path, Expected: o.Expected, Rule: o.Charge.Rule, Arithmetic: o.Charge.Arithmetic, Fault: o.Fault()}
		if o.Err == nil {
			trial.Got = &o.Charge.Amount
		}
		if trial.Passed = trial.Fault == ""; trial.Passed {
			test.Passed++
		} else {
			test.Failed++
		}
		test.Examples = append(test.Examples, trial)
	}
	if err := a.showValue(test, func() { a.printTrials(test) }); err != nil {
		return err
	}
	if test.Failed > 0 {
		return errReported
	}
	return nil
}

func (a *app) printTrials(test cardTest) {
	if len(test.Examples) == 0 {
		fmt.Fprintf(a.out, "Rate card %s has no examples. Write some: examples: [{event: {operation: \"GET /search\"}, credits: \"0.5\"}]\n", test.Card)
		return
	}
	rows := [][]any{{"", "EXAMPLE", "EXPECTED", "GOT", "RULE", "ARITHMETIC"}}
	for _, t := range test.Examples {
		row := []any{"ok", t.Example, t.Expected, "-", "-", "-"}
		if !t.Passed {
			row[0] = "FAILED"
		}
		if t.Got != nil {
			row[3], row[4], row[5] = *t.Got, t.Rule, t.Arithmetic
		}
		rows = append(rows, row)
	}
	table(a.out, rows...)
	for _, t := range test.Examples {
		if !t.Passed {
			fmt.Fprintf(a.out, "%s: %s\n", t.Example, t.Fault)
		}
	}
	fmt.Fprintf(a.out, "%d passed, %d failed.\n", test.Passed, test.Failed)
}
