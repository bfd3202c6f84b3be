package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
)

func (a *app) ledgerCommand() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use: "ledger ACCOUNT", Short: "Show what changed an account, newest first", Example: "  drawdown ledger acme --limit 20", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.ledger(c, args[0], limit) },
	}
	command.Flags().IntVar(&limit, "limit", 0, "at most this many; 0: all")
	return command
}

func (a *app) ledger(c *cobra.Command, account string, limit int) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	postings := []analytics.Posting{}
	path := "/v1/accounts/" + url.PathEscape(account) + "/ledger"
	for cursor := uint64(0); ; {
		var page analytics.Page
		if _, err := client.call(c.Context(), http.MethodGet, fmt.Sprintf("%s?limit=%d&cursor=%d", path, analytics.PageMax, cursor), "", nil, &page); err != nil {
			return err
		}
		postings = append(postings, page.Postings...)
		if cursor = page.Next; cursor == 0 || limit > 0 && len(postings) >= limit {
			break
		}
	}
	if limit > 0 && len(postings) > limit {
		postings = postings[:limit]
	}
	return a.showValue(map[string]any{"postings": postings}, func() {
		rows := [][]any{{"#", "AT", "KIND", "GRANTED", "CHARGED", "GONE", "AVAILABLE", "OVERAGE", "WHAT"}}
		for _, p := range postings {
			rows = append(rows, []any{p.Number, when(p.At), p.Kind, p.Granted, p.Charged, p.Expired + p.Voided, p.Balance.Available, p.Balance.Overage, what(p)})
		}
		table(a.out, rows...)
	})
}

// what names what a posting was about.
func what(p analytics.Posting) string {
	switch {
	case p.Refused != "":
		return "refused: " + p.Refused
	case p.Event != nil:
		return p.Event.Operation + ": " + p.Event.Arithmetic
	}
	return p.Grant
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain SOURCE ID", Short: "Show what one usage event cost and why", Args: cobra.ExactArgs(2),
		Example: "  drawdown explain urn:drawdown:import:combined 2f1d6a8e0c5b4a7d9e3f8b1c6d0a5e72",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			var e gateway.Explanation
			query := url.Values{"source": {args[0]}, "id": {args[1]}}
			answer, err := client.call(c.Context(), http.MethodGet, "/v1/explain?"+query.Encode(), "", nil, &e)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printExplanation(e) })
		},
	}
}

func (a *app) printExplanation(e gateway.Explanation) {
	if e.DeadLetter != nil {
		fmt.Fprintf(a.out, "Not charged. It is dead letter %d: %s: %s\n", e.DeadLetter.ID, e.DeadLetter.Reason, e.DeadLetter.Detail)
	}
	if e.Charge == nil || e.Charge.Posting.Event == nil {
		return
	}
	p, usage := e.Charge.Posting, e.Charge.Posting.Event
	rows := [][]any{
		{"account", p.Account}, {"operation", usage.Operation}, {"time", when(usage.Time)},
		{"charged", fmt.Sprintf("%s credits", p.Charged)}, {"because", usage.Arithmetic},
		{"by rule", fmt.Sprintf("%s of rate card %s version %d", usage.Rule, usage.Card, usage.Version)},
	}
	for i, draw := range p.Draws {
		label := ""
		if i == 0 {
			label = "drawn from"
		}
		rows = append(rows, []any{label, fmt.Sprintf("%s: %s, which leaves %s", draw.Grant, draw.Amount, draw.Left)})
	}
	rows = append(rows,
		[]any{"available", fmt.Sprintf("%s before, %s after", e.Charge.Before.Available, p.Balance.Available)},
		[]any{"overage", fmt.Sprintf("%s before, %s after", e.Charge.Before.Overage, p.Balance.Overage)},
		[]any{"ledger", fmt.Sprintf("sequence %d, posting %d of the account, %s", p.Sequence, p.Number, when(p.RecordedAt))},
	)
	var quantities []string
	for name, quantity := range e.Charge.Usage.Quantities {
		quantities = append(quantities, name+"="+quantity.String())
	}
	if len(quantities) > 0 {
		rows = append(rows, []any{"quantities", strings.Join(sorted(quantities), " ")})
	}
	table(a.out, rows...)
}
