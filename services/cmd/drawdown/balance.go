package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
)

func (a *app) balanceCommand() *cobra.Command {
	var at string
	var sequence uint64
	command := &cobra.Command{
		Use: "balance ACCOUNT", Short: "Show what an account has left, or had at any point of the past", Args: cobra.ExactArgs(1),
		Example: "  drawdown balance acme\n  drawdown balance acme --at 2026-11-01T12:00:00Z\n  drawdown balance acme --sequence 1234",
		RunE: func(c *cobra.Command, args []string) error {
			query := url.Values{}
			if at != "" && c.Flags().Changed("sequence") {
				return usageError("found --at and --sequence; expected one of them")
			}
			if at != "" {
				if _, err := time.Parse(time.RFC3339, at); err != nil {
					return usageError("--at %q: expected a time such as 2026-11-01T12:00:00Z", at)
				}
				query.Set("at", at)
			}
			if c.Flags().Changed("sequence") {
				query.Set("sequence", strconv.FormatUint(sequence, 10))
			}
			call := a.short
			if len(query) > 0 {
				call = a.long
			}
			var balance events.Balance
			answer, err := call(c.Context(), http.MethodGet, "/v1/accounts/"+url.PathEscape(args[0])+"/balance?"+query.Encode(), "", nil, &balance)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printBalance(balance) })
		},
	}
	command.Flags().StringVar(&at, "at", "", "as published at this time of the past")
	command.Flags().Uint64Var(&sequence, "sequence", 0, "as published behind this ledger sequence")
	return command
}

func (a *app) printBalance(b events.Balance) {
	rows := [][]any{
		{"account", b.Account}, {"available", b.Available}, {"held", b.Held}, {"overage", b.Overage},
		{"granted", b.Granted}, {"drawn", b.Drawn}, {"expired", b.Expired}, {"voided", b.Voided},
	}
	if b.Plan != "" {
		rows = append(rows, []any{"plan", b.Plan})
	}
	if b.Period != nil {
		rows = append(rows, []any{"period", when(b.Period.Start) + " to " + when(b.Period.End)})
	}
	if b.Next != nil {
		rows = append(rows, []any{"plan from " + when(b.Next.At), cmp.Or(b.Next.Plan, "none")})
	}
	rows = append(rows, []any{"ledger sequence", fmt.Sprintf("%d, %s", b.Sequence, when(b.At))})
	table(a.out, rows...)
	if len(b.Grants) > 0 {
		grants := [][]any{{"\nGRANT", "REMAINING", "OF", "PRIORITY", "EXPIRES", "AGAIN"}}
		for _, g := range b.Grants {
			grants = append(grants, []any{g.ID, g.Remaining, g.Amount, g.Priority, when(g.ExpiresAt), when(g.RecursAt)})
		}
		table(a.out, grants...)
	}
	if b.MoreGrants > 0 {
		fmt.Fprintf(a.out, "and %d more\n", b.MoreGrants)
	}
	if len(b.Budgets) > 0 {
		budgets := [][]any{{"\nBUDGET", "SPENT", "HELD", "OF", "PER", "UNTIL", ""}}
		for _, u := range b.Budgets {
			standing := ""
			if u.Exceeded {
				standing = "exceeded"
			}
			budgets = append(budgets, []any{u.Scope, u.Spent, u.Held, u.Limit, u.Per, when(u.End), standing})
		}
		table(a.out, budgets...)
	}
	if b.MoreBudgets > 0 {
		fmt.Fprintf(a.out, "and %d more\n", b.MoreBudgets)
	}
	if len(b.Holds) > 0 {
		fmt.Fprintln(a.out)
		a.printHolds(b.Holds, b.MoreHolds)
	}
	if b.TopUp != nil {
		a.printTopUp(*b.TopUp)
	}
	for _, level := range b.Levels {
		switch {
		case level.Reached && level.Kind == events.SignalOverageStarted:
			fmt.Fprintln(a.out, "overage: usage is not covered by grants")
		case level.Reached:
			fmt.Fprintf(a.out, "%s: at or below %s (%s credits)\n", level.Kind, level.Threshold, level.At)
		}
	}
}
