package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

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
	case p.Hold != "":
		return "hold " + p.Hold
	}
	return p.Grant
}
