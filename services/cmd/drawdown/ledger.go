package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

func (a *app) ledgerCommand() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use: "ledger ACCOUNT", Short: "Show what changed an account, oldest first", Example: "  drawdown ledger acme --limit 20", Args: cobra.ExactArgs(1),
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
	entries := []gateway.LedgerEntry{}
	path := "/v1/accounts/" + url.PathEscape(account) + "/ledger"
	for cursor := uint64(0); ; {
		var page gateway.LedgerPage
		if _, err := client.call(c.Context(), http.MethodGet, fmt.Sprintf("%s?limit=1000&cursor=%d", path, cursor), "", nil, &page); err != nil {
			return err
		}
		entries = append(entries, page.Entries...)
		if cursor = page.Next; cursor == 0 || limit > 0 && len(entries) >= limit {
			break
		}
	}
	if limit > 0 && len(entries) > limit {
		entries = entries[:limit]
	}
	return a.showValue(map[string]any{"entries": entries}, func() {
		rows := [][]any{{"#", "AT", "KIND", "GRANTED", "CHARGED", "GONE", "AVAILABLE", "OVERAGE", "WHAT"}}
		for _, e := range entries {
			rows = append(rows, []any{e.Number, when(e.At), e.Kind, e.Granted, e.Charged, e.Expired + e.Voided, e.Available, e.Overage, what(e)})
		}
		table(a.out, rows...)
	})
}

// what names what an entry was about.
func what(e gateway.LedgerEntry) string {
	switch {
	case e.Refused != "":
		return "refused: " + e.Refused
	case e.Debit != nil:
		return e.Debit.Operation + ": " + e.Debit.Arithmetic
	}
	return e.Grant
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
	if e.Entry == nil || e.Entry.Debit == nil {
		return
	}
	d := e.Entry.Debit
	rows := [][]any{
		{"account", e.Account}, {"operation", d.Operation}, {"time", when(d.Time)},
		{"charged", fmt.Sprintf("%s credits", d.Amount)}, {"because", d.Arithmetic},
		{"by rule", fmt.Sprintf("%s of rate card %s version %d", d.Rule, d.Card, d.Version)},
	}
	for i, draw := range e.Entry.Draws {
		label := ""
		if i == 0 {
			label = "drawn from"
		}
		rows = append(rows, []any{label, fmt.Sprintf("%s: %s, which leaves %s", draw.Grant, draw.Amount, draw.Left)})
	}
	before := e.Entry.Available + e.Entry.Drawn
	rows = append(rows,
		[]any{"available", fmt.Sprintf("%s before, %s after", before, e.Entry.Available)},
		[]any{"overage", fmt.Sprintf("%s before, %s after", e.Entry.Overage-(e.Entry.Charged-e.Entry.Drawn), e.Entry.Overage)},
		[]any{"ledger", fmt.Sprintf("sequence %d, entry %d of the account, %s", e.Entry.Sequence, e.Entry.Number, when(e.Entry.At))},
	)
	if e.Usage != nil {
		var quantities []string
		for name, quantity := range e.Usage.Quantities {
			quantities = append(quantities, name+"="+quantity.String())
		}
		rows = append(rows, []any{"quantities", strings.Join(sorted(quantities), " ")})
	}
	table(a.out, rows...)
}
