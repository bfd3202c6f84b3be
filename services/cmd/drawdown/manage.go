package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

// document reads the file a command names, or standard input for "-".
func document(name string) ([]byte, error) {
	if name == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return text, nil
}

func (a *app) planCommand() *cobra.Command {
	apply := &cobra.Command{
		Use: "apply FILE", Short: "Add or change a plan", Example: "  drawdown plan apply pro.yaml", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := document(args[0])
			if err != nil {
				return err
			}
			plan, err := catalog.ParsePlan(filepath.Base(args[0]), text)
			if err != nil {
				return err
			}
			return a.applyPlan(c, plan.Plan, text)
		},
	}
	show := &cobra.Command{
		Use: "show PLAN", Short: "Show a plan", Example: "  drawdown plan show pro", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.get(c, "/v1/plans/"+url.PathEscape(args[0])) },
	}
	list := &cobra.Command{
		Use: "list", Short: "List the plans", Example: "  drawdown plan list", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.get(c, "/v1/plans") },
	}
	return parent("plan", "Plans: what accounts are given each period", apply, show, list)
}

func (a *app) applyPlan(c *cobra.Command, plan string, text []byte) error {
	var set gateway.PlanDecision
	answer, err := a.short(c.Context(), http.MethodPut, "/v1/plans/"+url.PathEscape(plan), typeYAML, text, &set)
	if err != nil {
		return err
	}
	return a.show(answer, func() {
		if set.Outcome == events.Unchanged {
			fmt.Fprintf(a.out, "Nothing changed: plan %s says this already.\n", plan)
			return
		}
		fmt.Fprintf(a.out, "Plan %s is applied. Accounts on it follow from their next period.\n", plan)
	})
}

func (a *app) grantCommand() *cobra.Command {
	return parent("grant", "Grants: blocks of credits", a.grantAddCommand(), a.grantVoidCommand(), &cobra.Command{
		Use: "list ACCOUNT", Short: "List an account's open grants", Example: "  drawdown grant list acme", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.get(c, "/v1/accounts/"+url.PathEscape(args[0])+"/grants")
		},
	})
}

func (a *app) grantAddCommand() *cobra.Command {
	var id, source, effective, expires, recurrence, rolloverMin, rolloverMax, topUp, note string
	var priority uint8
	add := &cobra.Command{
		Use: "add ACCOUNT AMOUNT", Short: "Grant credits to an account", Args: cobra.ExactArgs(2),
		Long: `Grant credits to an account. The id makes it safe to repeat: the same grant
again changes nothing. Without --id a new one is made, and repeating the
command grants again.`,
		Example: "  drawdown grant add acme 500 --id invoice-1042 --expires 2027-12-31T00:00:00Z\n" +
			"  drawdown grant add acme 5000 --id invoice-1043 --top-up topup:acme:3\n" +
			"  drawdown grant add acme 100 --id daily --recurrence day --rollover-max 50",
		RunE: func(c *cobra.Command, args []string) error {
			grant := map[string]any{"id": id, "amount": args[1]}
			if id == "" {
				grant["id"] = newID()
			}
			for name, value := range map[string]string{"source": source, "top_up": topUp, "effective_at": effective, "expires_at": expires, "recurrence": recurrence, "note": note} {
				if value != "" {
					grant[name] = value
				}
			}
			if rolloverMin != "" && rolloverMax == "" {
				return usageError("--rollover-min says how much is kept at least: expected --rollover-max beside it")
			}
			if rolloverMax != "" {
				grant["rollover"] = map[string]string{"min": cmp.Or(rolloverMin, "0"), "max": rolloverMax}
			}
			if c.Flags().Changed("priority") {
				grant["priority"] = priority
			}
			return a.command(c, "/v1/accounts/"+url.PathEscape(args[0])+"/grants", grant, fmt.Sprintf("Granted %s credits to %s as %s.", args[1], args[0], grant["id"]))
		},
	}
	add.Flags().StringVar(&id, "id", "", "id of the grant, unique within the account")
	add.Flags().StringVar(&source, "source", "", "prepaid, promo, top_up or adjustment; default prepaid, or top_up with --top-up")
	add.Flags().StringVar(&topUp, "top-up", "", "the request for a top-up that this answers")
	add.Flags().StringVar(&effective, "effective", "", "when it may first be drawn, RFC 3339; default now")
	add.Flags().StringVar(&expires, "expires", "", "when it ends, RFC 3339; default never")
	add.Flags().StringVar(&recurrence, "recurrence", "", "granted again each day, week, month, year or ISO 8601 duration such as P3M or PT12H; what is left then is lost")
	add.Flags().StringVar(&rolloverMax, "rollover-max", "", "the most that is kept at a recurrence or, without one, at a new period")
	add.Flags().StringVar(&rolloverMin, "rollover-min", "", "the least that is kept then; default 0")
	add.Flags().Uint8Var(&priority, "priority", events.DefaultPriority, "0 to 255; a lower one is drawn first")
	add.Flags().StringVar(&note, "note", "", "for people")
	return add
}

func (a *app) grantVoidCommand() *cobra.Command {
	var reason string
	void := &cobra.Command{
		Use: "void ACCOUNT GRANT", Short: "End a grant: what remains of it goes, its history stays", Args: cobra.ExactArgs(2),
		Example: "  drawdown grant void acme invoice-1042 --reason refunded",
		RunE: func(c *cobra.Command, args []string) error {
			body := map[string]any{"account": args[0]}
			if reason != "" {
				body["reason"] = reason
			}
			return a.command(c, "/v1/grants/"+url.PathEscape(args[1])+"/void", body, fmt.Sprintf("Grant %s of %s is void.", args[1], args[0]))
		},
	}
	void.Flags().StringVar(&reason, "reason", "", "why, for people")
	return void
}
