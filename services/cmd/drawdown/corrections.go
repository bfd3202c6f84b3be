package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
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

func (a *app) amendCommand() *cobra.Command {
	var event eventFlags
	var file string
	var quantities map[string]string
	amend := &cobra.Command{
		Use: "amend --source SOURCE --id ID --reason WHY", Short: "Charge a usage event anew, with other data", Args: cobra.NoArgs,
		Long: `Charge a usage event anew, as if it had been something else: --file has the whole
data of the event, --quantity changes quantities alone. It is rated by the card
in force when it happened, and by what the account had used before it came. A
lower charge gives back the difference, as void does; a higher one draws it. It is
safe to repeat.`,
		Example: "  drawdown amend --source /chat --id req-1 --quantity tokens_in=480 --reason miscounted\n" +
			"  drawdown amend --source /chat --id req-1 --file req-1.json --reason \"wrong model\"",
		RunE: func(c *cobra.Command, _ []string) error {
			body, err := event.body()
			if err != nil {
				return err
			}
			switch {
			case (file == "") == (len(quantities) == 0):
				return usageError("expected either --file or --quantity")
			case file != "":
				body["data"], err = readData(file)
			default:
				body["data"], err = a.withQuantities(c.Context(), event, quantities)
			}
			if err != nil {
				return err
			}
			return a.correct(c, "/v1/amend", body)
		},
	}
	event.add(amend)
	amend.Flags().StringVarP(&file, "file", "f", "", "file with the whole data of the event as JSON; - for standard input")
	amend.Flags().StringToStringVar(&quantities, "quantity", nil, "a quantity that the event really had, as name=value; may be repeated")
	return amend
}

// readData reads the data of a usage event, which the gateway checks.
func readData(file string) (json.RawMessage, error) {
	text, err := document(file)
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, usageError("%s is not JSON: expected the data of the event, such as {\"operation\": \"POST /v1/chat\", \"quantities\": {\"tokens_in\": \"480\"}}", file)
	}
	return text, nil
}

// withQuantities is what the event is taken to have been now, but for some
// quantities.
func (a *app) withQuantities(ctx context.Context, event eventFlags, quantities map[string]string) (events.UsageData, error) {
	query := url.Values{"source": {event.source}, "id": {event.id}}
	if event.account != "" {
		query.Set("account", event.account)
	}
	var e explain.Explanation
	if _, err := a.long(ctx, http.MethodGet, "/v1/explain?"+query.Encode(), "", nil, &e); err != nil {
		return events.UsageData{}, err
	}
	data := e.Event.Data
	for _, c := range e.Corrections {
		if c.Data != nil && c.Refused == "" {
			data = *c.Data
		}
	}
	all := maps.Clone(data.Quantities)
	if all == nil {
		all = map[string]events.Quantity{}
	}
	for name, text := range quantities {
		quantity, err := events.ParseQuantity(text)
		if err != nil {
			return data, usageError("--quantity %s: %v", name, err)
		}
		all[name] = quantity
	}
	data.Quantities = all
	return data, nil
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
	rows := correctedRows(d.Corrected)
	if c := d.Charge; c != nil && d.Outcome == events.Applied {
		rows = append([][]any{{"rule", fmt.Sprintf("%s of rate card %s version %d", c.Rule, c.Card, c.Version)}, {"arithmetic", c.Arithmetic}}, rows...)
	}
	if len(rows) > 0 {
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
