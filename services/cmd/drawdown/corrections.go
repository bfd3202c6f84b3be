package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

// eventFlags name a usage event, and say why it is corrected.
type eventFlags struct{ source, id, account, reason string }

func (f *eventFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.source, "source", "", "the event's source")
	c.Flags().StringVar(&f.id, "id", "", "the event's id")
	c.Flags().StringVar(&f.account, "account", "", "its account; needed only while ClickHouse does not answer")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for people")
}

// body is the request about the event.
func (f *eventFlags) body() (map[string]any, error) {
	if f.source == "" || f.id == "" || f.reason == "" {
		return nil, usageError("expected --source, --id and --reason")
	}
	body := map[string]any{"source": f.source, "id": f.id, "reason": f.reason}
	if f.account != "" {
		body["account"] = f.account
	}
	return body, nil
}

func (a *app) voidCommand() *cobra.Command {
	var event eventFlags
	void := &cobra.Command{
		Use: "void --source SOURCE --id ID --reason WHY", Short: "Take back what a usage event was charged", Args: cobra.NoArgs,
		Long: `Take back what a usage event was charged. A new entry of the ledger says so;
nothing is edited. The grants that the event drew have their credits again,
unless they ended since: what they gave is lost then. It is safe to repeat: an
event that is void stays so.`,
		Example: "  drawdown void --source /chat --id req-1 --reason \"answered with an error\"",
		RunE: func(c *cobra.Command, _ []string) error {
			body, err := event.body()
			if err != nil {
				return err
			}
			return a.correct(c, "/v1/void", body)
		},
	}
	event.add(void)
	return void
}

// correct posts a correction and prints what became of it.
func (a *app) correct(c *cobra.Command, path string, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	var d gateway.CorrectionDecision
	answer, err := a.long(c.Context(), http.MethodPost, path, typeJSON, text, &d)
	if err != nil {
		return err
	}
	return a.show(answer, func() { a.printCorrection(d) })
}

func (a *app) printCorrection(d gateway.CorrectionDecision) {
	if d.Outcome == events.Unchanged {
		fmt.Fprintln(a.out, "Nothing changed: the event is charged so already.")
	}
	fmt.Fprintf(a.out, "Event %s of %s was charged %s credits to %s, and is charged %s now, by ledger sequence %d.\n",
		d.ID, d.Source, d.Corrected.Was, d.Account, d.Corrected.Now, d.Sequence)
	if rows := correctedRows(d.Corrected); len(rows) > 0 {
		table(a.out, rows...)
	}
	if b := d.Balance; b != nil {
		fmt.Fprintf(a.out, "Available: %s. Overage: %s.\n", b.Available, b.Overage)
	}
}

// correctedRows say where credits went back to, and which grants pay now.
func correctedRows(c events.Corrected) [][]any {
	var rows [][]any
	for i, s := range c.Refilled {
		rows = append(rows, []any{first(i, "refilled"), fmt.Sprintf("%s: %s, which left %s", s.Grant, s.Amount, s.Left)})
	}
	for i, s := range c.Lost {
		name := s.Grant
		if name == "" {
			name = "a grant that ended long ago"
		}
		rows = append(rows, []any{first(i, "lost"), fmt.Sprintf("%s: %s, because it ended since", name, s.Amount)})
	}
	if c.Owed > 0 {
		rows = append(rows, []any{"owed no more", fmt.Sprintf("%s of overage", c.Owed)})
	}
	if c.Forgiven > 0 {
		rows = append(rows, []any{"forgiven", fmt.Sprintf("%s, which was overage and had been forgiven", c.Forgiven)})
	}
	for i, s := range c.Drawn {
		rows = append(rows, []any{first(i, "drawn from"), fmt.Sprintf("%s: %s, which left %s", s.Grant, s.Amount, s.Left)})
	}
	return rows
}
