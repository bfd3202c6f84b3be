package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	typeJSON = "application/json"
	typeYAML = "application/yaml"
)

const nothingChanged = "Nothing changed: the same command was applied before."

// short calls the gateway for what is there at once.
func (a *app) short(ctx context.Context, method, path, contentType string, body []byte, result any) ([]byte, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return c.call(ctx, method, path, contentType, body, result)
}

// post sends a body as JSON for what is there at once.
func (a *app) post(ctx context.Context, path string, body, result any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return a.short(ctx, http.MethodPost, path, typeJSON, text, result)
}

// get prints what a GET answers. The documents are small, so people read the
// same JSON as machines do.
func (a *app) get(c *cobra.Command, path string) error {
	answer, err := a.short(c.Context(), http.MethodGet, path, "", nil, nil)
	if err != nil {
		return err
	}
	return a.show(answer, func() { a.printJSON(answer) })
}

// command posts a command about an account and prints its new balance.
func (a *app) command(c *cobra.Command, path string, body map[string]any, said string) error {
	var decision events.Decision
	answer, err := a.post(c.Context(), path, body, &decision)
	if err != nil {
		return err
	}
	return a.show(answer, func() {
		if decision.Outcome == events.Unchanged {
			said = nothingChanged
		}
		fmt.Fprintln(a.out, said)
		switch decision.TopUp {
		case events.TopUpAnswered:
			fmt.Fprintln(a.out, "It answers the request for a top-up.")
		case events.TopUpNotPending:
			fmt.Fprintln(a.out, "It answers nothing: no such request for a top-up pends.")
		}
		if decision.Balance != nil {
			fmt.Fprintf(a.out, "Available: %s. Overage: %s.\n", decision.Balance.Available, decision.Balance.Overage)
		}
	})
}

// newID makes up the id of a command for which a person gave none.
func newID() string {
	return "cli-" + time.Now().UTC().Format("20060102T150405.000000000Z")
}

// listAll follows a list's pages and prints one document.
func (a *app) listAll(c *cobra.Command, path, field string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	items := []json.RawMessage{}
	for cursor := ""; ; {
		page := map[string]json.RawMessage{}
		if _, err := client.call(c.Context(), http.MethodGet, withCursor(path, cursor), "", nil, &page); err != nil {
			return err
		}
		var some []json.RawMessage
		if err := json.Unmarshal(page[field], &some); err != nil {
			return fmt.Errorf("decode a page of %s: %w", field, err)
		}
		items = append(items, some...)
		cursor = ""
		if next, ok := page["next"]; ok {
			if err := json.Unmarshal(next, &cursor); err != nil {
				return fmt.Errorf("decode the cursor of %s: %w", field, err)
			}
		}
		if cursor == "" || len(some) == 0 {
			break
		}
	}
	return a.showValue(map[string]any{field: items}, func() { a.printRows(items) })
}

func withCursor(path, cursor string) string {
	if cursor == "" {
		return path
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + "cursor=" + url.QueryEscape(cursor)
}
