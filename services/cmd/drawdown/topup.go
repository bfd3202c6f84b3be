package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
)

func (a *app) topUpCommand() *cobra.Command {
	return parent("topup", "Top-ups that were requested", a.topUpDeclineCommand())
}

func (a *app) topUpDeclineCommand() *cobra.Command {
	var reason string
	decline := &cobra.Command{
		Use: "decline REQUEST", Short: "End a request for a top-up without a payment", Args: cobra.ExactArgs(1),
		Long: `End a request for a top-up without a payment. The next one is requested when
the account is still low once the cooldown is over. To answer a request, grant
credits with --top-up.`,
		Example: "  drawdown topup decline topup:acme:3 --reason \"card refused\"",
		RunE: func(c *cobra.Command, args []string) error {
			account, ok := accountOfTopUp(args[0])
			if !ok {
				return usageError("%q: expected a request for a top-up such as topup:acme:3", args[0])
			}
			body := map[string]any{}
			if reason != "" {
				body["reason"] = reason
			}
			path := "/v1/accounts/" + url.PathEscape(account) + "/topups/" + url.PathEscape(args[0]) + "/decline"
			return a.command(c, path, body, fmt.Sprintf("Request %s is declined.", args[0]))
		},
	}
	decline.Flags().StringVar(&reason, "reason", "", "why, for people")
	return decline
}

// accountOfTopUp returns the account in the id of a request.
func accountOfTopUp(id string) (account string, ok bool) {
	parts := strings.Split(id, ":")
	return parts[len(parts)/2], len(parts) == 3 && events.ValidAccount(parts[1]) && events.TopUpNumber(parts[1], id) > 0
}

// printTopUp says where auto top-up stands.
func (a *app) printTopUp(u events.TopUpBalance) {
	text := "top-up: " + string(u.State)
	if r := u.Request; r != nil {
		text += fmt.Sprintf(": %s credits as %s, until %s", r.Amount, r.ID, when(r.ExpiresAt))
	}
	if !u.NextAt.IsZero() {
		text += ", the next from " + when(u.NextAt)
	}
	fmt.Fprintln(a.out, text)
}
