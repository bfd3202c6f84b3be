package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

func (a *app) accountCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show ACCOUNT", Short: "Show an account's settings", Example: "  drawdown account show acme", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.get(c, accountPath(args[0])) },
	}
	list := &cobra.Command{
		Use: "list", Short: "List the accounts", Example: "  drawdown account list", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.listAll(c, "/v1/accounts", "accounts") },
	}
	return parent("account", "Accounts: who has credits", a.accountSetCommand(), show, list)
}

func accountPath(account string) string { return "/v1/accounts/" + url.PathEscape(account) }

func (a *app) accountSetCommand() *cobra.Command {
	var plan, start, change, file string
	set := &cobra.Command{
		Use: "set ACCOUNT", Short: "Put an account on a plan, or give it terms of its own", Args: cobra.ExactArgs(1),
		Long: `Put an account on a plan, or give it terms of its own. This replaces all of its
settings: what is not given goes, and a plan that goes takes its credits along.
--plan "" takes an account off its plan.`,
		Example: "  drawdown account set acme --plan pro\n  drawdown account set acme --plan max --change period_end\n  drawdown account set acme --file acme.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			settings := map[string]string{}
			for flag, value := range map[string]string{"plan": plan, "start": start, "change": change} {
				if c.Flags().Changed(flag) {
					settings[accountFields[flag]] = value
				}
			}
			body, contentType, err := accountBody(settings, file)
			if err != nil {
				return err
			}
			return a.setAccount(c, args[0], body, contentType)
		},
	}
	set.Flags().StringVar(&plan, "plan", "", "the plan")
	set.Flags().StringVar(&start, "start", "", "when its first period starts, RFC 3339; default now")
	set.Flags().StringVar(&change, "change", "", "when another plan begins: now (default), now_prorated, or period_end")
	set.Flags().StringVarP(&file, "file", "f", "", "file with plan, started_at, change and overrides, instead of the flags")
	return set
}

// accountFields are the settings that flags give.
var accountFields = map[string]string{"plan": "plan", "start": "started_at", "change": "change"}

// accountBody is the file or, without one, the settings that are given.
func accountBody(settings map[string]string, file string) (body []byte, contentType string, err error) {
	_, plan := settings["plan"]
	_, start := settings["started_at"]
	switch {
	case file != "" && len(settings) > 0:
		return nil, "", usageError("--file says it all: expected no --plan, --start or --change beside it")
	case file != "":
		body, err = document(file)
		return body, typeYAML, err
	case !plan && !start:
		return nil, "", usageError("expected --plan, --start or --file")
	}
	for field, value := range settings {
		if value == "" {
			delete(settings, field)
		}
	}
	body, err = json.Marshal(settings)
	return body, typeJSON, err
}

// setAccount sets an account, and tells people what that took away.
func (a *app) setAccount(c *cobra.Command, account string, body []byte, contentType string) error {
	var before gateway.AccountDecision
	if a.format == "text" {
		if err := a.ifThere(c, accountPath(account), &before.AccountSettings); err != nil {
			return err
		}
		if err := a.ifThere(c, accountPath(account)+"/balance", &before.Balance); err != nil {
			return err
		}
	}
	var now gateway.AccountDecision
	answer, err := a.short(c.Context(), http.MethodPut, accountPath(account), contentType, body, &now)
	if err != nil {
		return asFlags(err, contentType)
	}
	return a.show(answer, func() { a.printAccountSet(before, now) })
}

// ifThere reads what is at path into result, if anything is.
func (a *app) ifThere(c *cobra.Command, path string, result any) error {
	_, err := a.short(c.Context(), http.MethodGet, path, "", nil, result)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// asFlags tells what is wrong with settings that flags gave by the flags' names.
func asFlags(err error, contentType string) error {
	var p *problem
	if contentType != typeJSON || !errors.As(err, &p) {
		return err
	}
	for i, fault := range p.Errors {
		var f gateway.Fault
		if json.Unmarshal(fault, &f) != nil {
			continue
		}
		for flag, field := range accountFields {
			if f.Path == "/"+field {
				f.Line, f.Column, f.Path = 0, 0, "--"+flag
			}
		}
		if text, err := json.Marshal(f); err == nil {
			p.Errors[i] = text
		}
	}
	return err
}

func (a *app) printAccountSet(before, now gateway.AccountDecision) {
	if now.Outcome == events.Unchanged {
		fmt.Fprintf(a.out, "Nothing changed: account %s has these settings already.\n", now.ID)
		return
	}
	fmt.Fprintf(a.out, "Account %s is set: %s.\n", now.ID, standing(now))
	if gone := without(before.Terms, now.Terms); len(gone) > 0 {
		fmt.Fprintf(a.out, "No longer set: %s.\n", strings.Join(gone, ", "))
	}
	if now.Balance == nil {
		return
	}
	var was events.Balance
	if before.Balance != nil {
		was = *before.Balance
	}
	if lost := now.Balance.Expired - was.Expired; lost > 0 {
		fmt.Fprintf(a.out, "Expired by it: %s credits.\n", lost)
	}
	fmt.Fprintf(a.out, "Available: %s. Overage: %s.\n", now.Balance.Available, now.Balance.Overage)
}

// standing says on which plan an account is, for how long, and what comes next.
func standing(d gateway.AccountDecision) string {
	if d.Balance == nil {
		return "plan " + cmp.Or(d.Plan, "none")
	}
	text := "plan " + cmp.Or(d.Balance.Plan, "none")
	if period := d.Balance.Period; period != nil {
		text += fmt.Sprintf(", period %s to %s", when(period.Start), when(period.End))
	}
	if next := d.Balance.Next; next != nil {
		text += fmt.Sprintf(", then plan %s", cmp.Or(next.Plan, "none"))
	}
	return text
}

// without names the terms that an account had of its own and no longer has.
func without(before, now events.Terms) []string {
	had, has := fieldsOf(before), fieldsOf(now)
	var gone []string
	for name := range had {
		if _, ok := has[name]; !ok {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

func fieldsOf(t events.Terms) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	if text, err := json.Marshal(t); err == nil {
		_ = json.Unmarshal(text, &fields) // an object of ours
	}
	return fields
}
