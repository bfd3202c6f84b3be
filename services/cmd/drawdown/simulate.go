package main

import (
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// compileRateCard makes a card rate as the rater does.
func compileRateCard(card events.RateCard) (simulate.Rate, error) {
	compiled, err := rating.New(card)
	if err != nil {
		return nil, err
	}
	return func(u events.Usage, context simulate.Context) (simulate.Charge, error) {
		c, err := compiled.Rate(u, rating.Context(context))
		return simulate.Charge(c), err
	}, nil
}

func (a *app) simulateCommand() *cobra.Command {
	var since, account string
	command := &cobra.Command{
		Use: "simulate FILE", Short: "Show what past usage would have cost by a rate card", Args: cobra.ExactArgs(1),
		Long: `Show what past usage would have cost by a rate card, by account and operation,
and who would gain and lose most. Nothing is written.`,
		Example: "  drawdown ratecard simulate prices.yaml --since 30d\n  drawdown ratecard simulate prices.yaml --since 2026-11-01 --account acme",
		RunE: func(c *cobra.Command, args []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			card, text, err := readRateCard(args[0])
			if err != nil {
				return err
			}
			query := url.Values{"since": {from.UTC().Format(time.RFC3339Nano)}}
			if account != "" {
				query.Set("account", account)
			}
			var result simulate.Result
			answer, err := a.long(c.Context(), http.MethodPost, "/v1/ratecards/"+url.PathEscape(card.Card)+"/simulate?"+query.Encode(), typeYAML, text, &result)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printSimulation(result) })
		},
	}
	command.Flags().StringVar(&since, "since", "30d", "how far back: days such as 30d, a duration such as 12h, a date or a time")
	command.Flags().StringVar(&account, "account", "", "only this account")
	return command
}

// parseSince reads how far back something goes from now.
func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError("--since %q: expected days such as 30d, a duration such as 12h, a date such as 2026-11-01 or a time such as 2026-11-01T12:00:00Z", text)
}

func (a *app) printSimulation(r simulate.Result) {
	fmt.Fprintf(a.out, "%d events since %s, from %s through ledger sequence %d, by rate card %s.\n\n", r.Events, when(r.Since), r.Source, r.Sequence, r.Card)
	rows := [][]any{{"ACCOUNT", "OPERATION", "CALLS", "NOW", "THEN", "DIFFERENCE", ""}}
	for _, row := range r.Rows {
		rows = append(rows, append([]any{row.Account, row.Operation}, sums(row.Sums)...))
	}
	rows = append(rows, append([]any{"all", ""}, sums(r.Total)...))
	table(a.out, rows...)
	if r.MoreRows > 0 {
		fmt.Fprintf(a.out, "and %d more with smaller differences\n", r.MoreRows)
	}
	a.printTop("Would pay more:", r.Losers)
	a.printTop("Would pay less:", r.Gainers)
	if r.Refused.Events > 0 {
		fmt.Fprintf(a.out, "\n%d events, charged %s now, would be refused:\n", r.Refused.Events, r.Refused.Now)
		for _, e := range r.Refused.Examples {
			fmt.Fprintf(a.out, "  %s of %s, account %s, %s: %s\n", e.ID, e.Source, e.Account, e.Operation, e.Reason)
		}
	}
}

func (a *app) printTop(head string, accounts []simulate.AccountSum) {
	if len(accounts) == 0 {
		return
	}
	fmt.Fprintf(a.out, "\n%s\n", head)
	var rows [][]any
	for _, account := range accounts {
		rows = append(rows, append([]any{"  " + account.Account}, sums(account.Sums)...))
	}
	table(a.out, rows...)
}

func sums(s simulate.Sums) []any {
	sign := ""
	if s.Difference > 0 {
		sign = "+"
	}
	return []any{s.Calls, s.Now, s.Then, sign + s.Difference.String(), percent(s)}
}

// percent is how much more or less is paid, for people.
func percent(s simulate.Sums) string {
	if s.Now == 0 {
		return ""
	}
	share := big.NewRat(int64(s.Difference), int64(s.Now))
	return share.Mul(share, big.NewRat(100, 1)).FloatString(1) + " %"
}
