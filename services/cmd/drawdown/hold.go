package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

func (a *app) holdCommand() *cobra.Command {
	return parent("hold", "Holds: credits reserved before work", a.holdPlaceCommand(), a.holdCaptureCommand(), a.holdReleaseCommand(), &cobra.Command{
		Use: "list ACCOUNT", Short: "List an account's open holds", Example: "  drawdown hold list acme", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var list gateway.Holds
			answer, err := a.short(c.Context(), http.MethodGet, holdsOf(args[0]), "", nil, &list)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printHolds(list.Holds, list.MoreHolds) })
		},
	})
}

func holdsOf(account string) string { return "/v1/accounts/" + url.PathEscape(account) + "/holds" }

func (a *app) holdPlaceCommand() *cobra.Command {
	var id, project, key string
	var life time.Duration
	var attributes map[string]string
	place := &cobra.Command{
		Use: "place ACCOUNT AMOUNT", Short: "Reserve credits before work", Args: cobra.ExactArgs(2),
		Long: `Reserve credits before work. The id makes it safe to repeat: the same hold
again changes nothing. Without --id a new one is made, and repeating the
command reserves again. It fails when the credits, or a budget, do not suffice.`,
		Example: "  drawdown hold place acme 25 --id job-7 --expires-in 10m --project web",
		RunE: func(c *cobra.Command, args []string) error {
			hold := map[string]any{"id": id, "amount": args[1]}
			if id == "" {
				hold["id"] = newID()
			}
			if c.Flags().Changed("expires-in") {
				hold["expires_in"] = events.Duration(life)
			}
			for name, value := range map[string]string{"project": project, "key": key} {
				if value != "" {
					hold[name] = value
				}
			}
			if len(attributes) > 0 {
				hold["attributes"] = attributes
			}
			return a.changeHold(c, holdsOf(args[0]), hold)
		},
	}
	place.Flags().StringVar(&id, "id", "", "id of the hold, unique within the account")
	place.Flags().DurationVar(&life, "expires-in", events.DefaultHoldLife, "when it ends by itself, at most 24h")
	place.Flags().StringVar(&project, "project", "", "the project that the work is for")
	place.Flags().StringVar(&key, "key", "", "the key that the work is for")
	place.Flags().StringToStringVar(&attributes, "attribute", nil, "an attribute of the work, as name=value; may be repeated")
	return place
}

func (a *app) holdCaptureCommand() *cobra.Command {
	return &cobra.Command{
		Use: "capture ACCOUNT HOLD AMOUNT", Short: "Charge any part of a hold, and end it", Args: cobra.ExactArgs(3),
		Example: "  drawdown hold capture acme job-7 18.5",
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeHold(c, "/v1/holds/"+url.PathEscape(args[1])+"/capture", map[string]any{"account": args[0], "amount": args[2]})
		},
	}
}

func (a *app) holdReleaseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "release ACCOUNT HOLD", Short: "End a hold without a charge", Args: cobra.ExactArgs(2),
		Example: "  drawdown hold release acme job-7",
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeHold(c, "/v1/holds/"+url.PathEscape(args[1])+"/release", map[string]any{"account": args[0]})
		},
	}
}

// changeHold posts a command about a hold and prints what became of it.
func (a *app) changeHold(c *cobra.Command, path string, body map[string]any) error {
	var d gateway.HoldDecision
	answer, err := a.post(c.Context(), path, body, &d)
	if err != nil {
		return err
	}
	return a.show(answer, func() {
		if d.Outcome == events.Unchanged {
			fmt.Fprintln(a.out, nothingChanged)
		}
		if h := d.Hold; h != nil {
			fmt.Fprintf(a.out, "Hold %s of %s credits is %s.\n", h.ID, h.Amount, holdStanding(*h))
		}
		if b := d.Balance; b != nil {
			fmt.Fprintf(a.out, "Available: %s. Held: %s. Overage: %s.\n", b.Available, b.Held, b.Overage)
		}
	})
}

func holdStanding(h events.HoldBalance) string {
	switch h.State {
	case events.HoldOpen:
		return "open until " + when(h.ExpiresAt)
	case events.HoldCaptured:
		return fmt.Sprintf("captured with %s", h.Captured)
	}
	return string(h.State)
}

func (a *app) printHolds(holds []events.HoldBalance, more int) {
	if len(holds) > 0 {
		rows := [][]any{{"HOLD", "AMOUNT", "EXPIRES", "PROJECT", "KEY"}}
		for _, h := range holds {
			rows = append(rows, []any{h.ID, h.Amount, when(h.ExpiresAt), h.Project, h.Key})
		}
		table(a.out, rows...)
	}
	if more > 0 {
		fmt.Fprintf(a.out, "and %d more\n", more)
	}
}
