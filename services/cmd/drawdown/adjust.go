package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) adjustCommand() *cobra.Command {
	var id, amount, reason string
	adjust := &cobra.Command{
		Use: "adjust ACCOUNT", Short: "Correct an account by hand: grant credits, or charge them", Args: cobra.ExactArgs(1),
		Long: `Correct an account by hand. An amount above 0 grants credits, one below 0
charges them as usage does. The id makes it safe to repeat: the same adjustment
again changes nothing. Without --id a new one is made, and repeating the command
adjusts again.`,
		Example: "  drawdown adjust acme --amount 25 --reason \"outage of 3 May\" --id ticket-881\n" +
			"  drawdown adjust acme --amount -4.5 --reason \"calls that were missed\"",
		RunE: func(c *cobra.Command, args []string) error {
			if amount == "" || reason == "" {
				return usageError("expected --amount, above or below 0, and --reason")
			}
			if id == "" {
				id = newID()
			}
			body := map[string]any{"id": id, "amount": amount, "reason": reason}
			return a.command(c, "/v1/accounts/"+url.PathEscape(args[0])+"/adjustments", body,
				fmt.Sprintf("Account %s is adjusted by %s credits as %s.", args[0], amount, id))
		},
	}
	adjust.Flags().StringVar(&amount, "amount", "", "credits: above 0 to grant, below 0 to charge")
	adjust.Flags().StringVar(&reason, "reason", "", "why, for people")
	adjust.Flags().StringVar(&id, "id", "", "id of the adjustment, unique within the account")
	return adjust
}
