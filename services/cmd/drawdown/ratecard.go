package main

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/internal/retroactive"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

func (a *app) ratecardCommand() *cobra.Command {
	var past bool
	apply := &cobra.Command{
		Use: "apply FILE", Short: "Add a version of a rate card whose examples come true", Args: cobra.ExactArgs(1),
		Long: `Add a version of a rate card whose examples come true. One that would be in
force for usage that another version was charged for is refused, unless it is
applied retroactively: then every such event whose charge differs is amended, by
a correction of its own. Cut off, the same command goes on where it was.`,
		Example: "  drawdown ratecard apply prices.yaml\n  drawdown ratecard apply prices.yaml --retroactive",
		RunE: func(c *cobra.Command, args []string) error {
			card, text, err := readRateCard(args[0], checkRateCard)
			if err != nil {
				return err
			}
			return a.applyCard(c, card, text, past)
		},
	}
	apply.Flags().BoolVar(&past, "retroactive", false, "amend usage that was charged otherwise since the card's effective_from")
	var version int
	show := &cobra.Command{
		Use: "show CARD", Short: "Show a rate card", Example: "  drawdown ratecard show default --card-version 2", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := "/v1/ratecards/" + url.PathEscape(args[0])
			if version > 0 {
				path += fmt.Sprintf("?version=%d", version)
			}
			return a.get(c, path)
		},
	}
	show.Flags().IntVar(&version, "card-version", 0, "the version; 0: the latest")
	list := &cobra.Command{
		Use: "list", Short: "List the rate cards", Example: "  drawdown ratecard list", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.get(c, "/v1/ratecards") },
	}
	return parent("ratecard", "Rate cards: what each call costs", apply, show, list, a.ratecardTestCommand(), a.simulateCommand())
}

func (a *app) applyCard(c *cobra.Command, card events.RateCard, text []byte, past bool) error {
	path := "/v1/ratecards/" + url.PathEscape(card.Card)
	if past {
		path += "?retroactive=true"
	}
	var stored gateway.CardDecision
	answer, err := a.long(c.Context(), http.MethodPut, path, typeYAML, text, &stored)
	if err != nil {
		return err
	}
	return a.show(answer, func() {
		a.printApplied(stored)
		if stored.Retroactive != nil {
			a.printRetroactive(*stored.Retroactive)
		}
	})
}

func (a *app) printApplied(stored gateway.CardDecision) {
	if stored.Outcome == events.Unchanged {
		fmt.Fprintf(a.out, "Nothing changed: rate card %s version %d says this already.\n", stored.Card, stored.Version)
		return
	}
	from := "for all time"
	if !stored.EffectiveFrom.IsZero() {
		from = "from " + when(stored.EffectiveFrom)
	}
	fmt.Fprintf(a.out, "Rate card %s version %d, with %d rules, is in force %s.\n", stored.Card, stored.Version, len(stored.Rules), from)
	if stored.Card != events.DefaultCard {
		fmt.Fprintf(a.out, "Usage is rated by card %q; this one is kept beside it.\n", events.DefaultCard)
	}
}

// printRetroactive tells what came of a card for past usage.
func (a *app) printRetroactive(r retroactive.Repricing) {
	fmt.Fprintf(a.out, "%d events since %s were looked at, through ledger sequence %d: %d are amended, from %s to %s credits.\n",
		r.Events, when(r.From), r.Sequence, r.Amended, r.Was, r.Now)
	if r.Void > 0 {
		fmt.Fprintf(a.out, "%d void events stay void.\n", r.Void)
	}
	if r.Kept > 0 {
		fmt.Fprintf(a.out, "%d events keep their charge:\n", r.Kept)
		for _, e := range r.Examples {
			fmt.Fprintf(a.out, "  %s of %s, account %s, charged %s: %s\n", e.ID, e.Source, e.Account, e.Charged, e.Reason)
		}
	}
}

// readRateCard reads a rate card from the file a command names; text is the
// file as it is.
func readRateCard(name string, checks ...catalog.Check) (card events.RateCard, text []byte, err error) {
	text, err = document(name)
	if err != nil {
		return events.RateCard{}, nil, err
	}
	card, err = catalog.ParseRateCard(filepath.Base(name), text, checks...)
	return card, text, err
}

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
			card, _, err := readRateCard(args[0])
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
