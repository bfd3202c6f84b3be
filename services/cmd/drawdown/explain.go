package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

func (a *app) explainCommand() *cobra.Command {
	var source, id, account string
	command := &cobra.Command{
		Use: "explain --source SOURCE --id ID", Short: "Show what became of one usage event, and why", Args: cobra.NoArgs,
		Long: `Show what one usage event cost and why: the rule, the arithmetic, the grants it
drew from and what each had left. Or why it was refused and how to send it
again; or that it still waits to be rated; and what was corrected later.`,
		Example: "  drawdown explain --source urn:drawdown:import:combined --id 2f1d6a8e0c5b4a7d9e3f8b1c6d0a5e72",
		RunE: func(c *cobra.Command, _ []string) error {
			if source == "" || id == "" {
				return usageError("expected --source and --id")
			}
			query := url.Values{"source": {source}, "id": {id}}
			if account != "" {
				query.Set("account", account)
			}
			var e explain.Explanation
			answer, err := a.long(c.Context(), http.MethodGet, "/v1/explain?"+query.Encode(), "", nil, &e)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printExplanation(e) })
		},
	}
	command.Flags().StringVar(&source, "source", "", "the event's source")
	command.Flags().StringVar(&id, "id", "", "the event's id")
	command.Flags().StringVar(&account, "account", "", "its account; needed only while ClickHouse does not answer")
	return command
}

func (a *app) printExplanation(e explain.Explanation) {
	rows := eventRows(e.Event)
	switch {
	case e.Charge != nil:
		rows = append(rows, chargeRows(*e.Charge)...)
		for i := range e.Corrections {
			rows = append(rows, correctionRows(&e.Corrections[i])...)
		}
	case e.DeadLetter != nil:
		d := e.DeadLetter
		rows = append(rows, []any{"refused", when(d.RefusedAt)}, []any{"because", d.Reason + ": " + d.Detail},
			[]any{"dead letter", d.ID}, []any{"to send again", d.Replay})
	case e.Waiting != nil:
		rows = append(rows, []any{"on its way", fmt.Sprintf("not rated yet; %d events of partition %d wait before it, which is rated through USAGE sequence %d",
			e.Waiting.Behind, e.Waiting.Partition, e.Waiting.Settled)})
	}
	fmt.Fprintln(a.out, headline(e))
	table(a.out, rows...)
}

// headline says in a sentence what became of an event.
func headline(e explain.Explanation) string {
	switch e.Status {
	case explain.Void:
		return fmt.Sprintf("Void: was charged %s credits to %s, which were taken back.\n", e.Charge.Amount, e.Event.Account)
	case explain.Charged:
		if e.ChargedNow != nil && *e.ChargedNow != e.Charge.Amount {
			return fmt.Sprintf("Charged %s credits to %s, and amended to %s.\n", e.Charge.Amount, e.Event.Account, *e.ChargedNow)
		}
		return fmt.Sprintf("Charged %s credits to %s.\n", e.Charge.Amount, e.Event.Account)
	case explain.NotCharged:
		return fmt.Sprintf("Rated at %s credits and not charged to %s: %s.\n", e.Charge.Amount, e.Event.Account, e.Charge.Refused)
	case explain.Refused:
		return "Refused, and kept as a dead letter.\n"
	}
	return "Stored, and on its way to be rated.\n"
}

func eventRows(e explain.Explained) [][]any {
	rows := [][]any{{"event", e.ID + " of " + e.Source}}
	if e.Account != "" {
		rows = append(rows, []any{"account", e.Account})
	}
	rows = append(rows, dataRows(e.Data)...)
	return append(rows, []any{"happened", when(e.Time)}, []any{"stored", fmt.Sprintf("%s, USAGE %d/%d", when(e.Usage.StoredAt), e.Usage.Sequence, e.Usage.Index)})
}

func dataRows(d events.UsageData) [][]any {
	var rows [][]any
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []any{name, value})
		}
	}
	add("operation", d.Operation)
	if d.Status > 0 {
		add("status", fmt.Sprint(d.Status))
	}
	add("project", d.Project)
	add("key", d.Key)
	var quantities, attributes []string
	for name, quantity := range d.Quantities {
		quantities = append(quantities, name+"="+quantity.String())
	}
	for name, value := range d.Attributes {
		attributes = append(attributes, name+"="+value)
	}
	add("quantities", strings.Join(sorted(quantities), " "))
	add("attributes", strings.Join(sorted(attributes), " "))
	return rows
}

// correctionRows tell of one correction, behind an empty row.
func correctionRows(c *explain.Correction) [][]any {
	what := "void"
	if c.Charge != nil {
		what = fmt.Sprintf("charged %s", c.Charge.Amount)
	}
	rows := [][]any{{"", ""}, {"corrected", fmt.Sprintf("%s: %s", when(c.Ledger.RecordedAt), what)}}
	if c.Refused != "" {
		rows = append(rows, []any{"refused", c.Refused + ": nothing was changed"})
	}
	if c.Reason != "" {
		rows = append(rows, []any{"because", c.Reason})
	}
	if c.Data != nil {
		rows = append(rows, dataRows(*c.Data)...)
	}
	if c.Charge != nil {
		rows = append(rows, costRows(c.Charge)...)
	}
	if c.Did != nil {
		rows = append(rows, correctedRows(*c.Did)...)
	}
	return append(rows, standingRows(c.Before, c.After, c.Ledger)...)
}

// costRows say by which rule a charge came about, and how.
func costRows(c *explain.Cost) [][]any {
	rows := [][]any{{"rule", fmt.Sprintf("%s of rate card %s version %d", c.Rule, c.Card, c.Version)}}
	for i, term := range c.Terms {
		rows = append(rows, []any{first(i, "terms"), term})
	}
	rows = append(rows, []any{"arithmetic", c.Arithmetic})
	if c.Rounding != "" {
		rows = append(rows, []any{"rounding", string(c.Rounding) + ", to the micro-credit, once"})
	}
	for i, t := range c.Tiers {
		rows = append(rows, []any{first(i, "counted"), fmt.Sprintf("%s %s, after %s used since %s (%s)", t.Amount, t.Quantity, t.Before, when(t.Period), t.Part)})
	}
	return rows
}

func chargeRows(c explain.Charge) [][]any {
	rows := costRows(&c.Cost)
	for i, d := range c.Draws {
		rows = append(rows, []any{first(i, "drawn from"), fmt.Sprintf("%s: %s, which left %s", d.Grant, d.Amount, d.Left)})
	}
	if c.Uncovered > 0 {
		rows = append(rows, []any{"uncovered", fmt.Sprintf("%s, which no grant covered: overage", c.Uncovered)})
	}
	return append(rows, standingRows(c.Before, c.After, c.Ledger)...)
}

func standingRows(before, after analytics.Standing, at explain.Place) [][]any {
	return [][]any{
		{"available", fmt.Sprintf("%s before, %s after", before.Available, after.Available)},
		{"overage", fmt.Sprintf("%s before, %s after", before.Overage, after.Overage)},
		{"ledger", fmt.Sprintf("sequence %d, entry %d; posting %d of the account; recorded %s", at.Sequence, at.Index, at.Posting, when(at.RecordedAt))},
	}
}

// first is the label of the first of several rows.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}
