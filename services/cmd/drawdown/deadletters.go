package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

func (a *app) deadlettersCommand() *cobra.Command {
	return parent("deadletters", "Usage events that could not be rated", a.deadlettersListCommand(), &cobra.Command{
		Use: "show ID", Short: "Show a dead letter and why it is one", Example: "  drawdown deadletters show 17", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var d gateway.DeadLetter
			answer, err := a.short(c.Context(), http.MethodGet, "/v1/deadletters/"+url.PathEscape(args[0]), "", nil, &d)
			if err != nil {
				return err
			}
			return a.show(answer, func() { a.printDeadLetter(d) })
		},
	}, a.deadlettersReplayCommand())
}

func (a *app) deadlettersListCommand() *cobra.Command {
	var reason string
	list := &cobra.Command{
		Use: "list", Short: "List the dead letters", Example: "  drawdown deadletters list --reason unratable", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			letters := []gateway.DeadLetterSummary{}
			for cursor := uint64(0); ; {
				query := url.Values{"limit": {"1000"}, "cursor": {strconv.FormatUint(cursor, 10)}}
				if reason != "" {
					query.Set("reason", reason)
				}
				var page gateway.DeadLetterPage
				if _, err := client.call(c.Context(), http.MethodGet, "/v1/deadletters?"+query.Encode(), "", nil, &page); err != nil {
					return err
				}
				letters = append(letters, page.DeadLetters...)
				if cursor = page.Next; cursor == 0 {
					break
				}
			}
			return a.showValue(map[string]any{"deadletters": letters}, func() {
				rows := [][]any{{"ID", "STORED AT", "REASON", "BYTES", "DETAIL"}}
				for _, l := range letters {
					rows = append(rows, []any{l.ID, when(l.StoredAt), l.Reason, l.Size, l.Detail})
				}
				table(a.out, rows...)
			})
		},
	}
	list.Flags().StringVar(&reason, "reason", "", "only with this reason, such as unratable")
	return list
}

func (a *app) printDeadLetter(d gateway.DeadLetter) {
	table(a.out, []any{"id", d.ID}, []any{"reason", d.Reason}, []any{"detail", d.Detail}, []any{"subject", d.Subject},
		[]any{"usage sequence", fmt.Sprintf("%d, event %d", d.Sequence, d.Index)}, []any{"stored at", when(d.StoredAt)})
	for name, values := range d.Header {
		for _, value := range values {
			fmt.Fprintf(a.out, "%s: %s\n", name, value)
		}
	}
	text := d.Text
	if text == "" {
		text = fmt.Sprintf("%q", d.Body)
	}
	fmt.Fprintf(a.out, "\n%s\n", text)
}

func (a *app) deadlettersReplayCommand() *cobra.Command {
	var reason string
	var all bool
	replay := &cobra.Command{
		Use: "replay [ID…]", Short: "Send dead letters through the pipeline again, after a fix",
		Long: `Send dead letters through the pipeline again, after a fix. Exit status 1 when an
ID names none.`,
		Example: "  drawdown deadletters replay --reason unratable\n  drawdown deadletters replay 17 18",
		RunE: func(c *cobra.Command, args []string) error {
			body := map[string]any{}
			for _, arg := range args {
				id, err := strconv.ParseUint(arg, 10, 64)
				if err != nil {
					return usageError("%q: expected the id of a dead letter", arg)
				}
				ids, _ := body["ids"].([]uint64)
				body["ids"] = append(ids, id)
			}
			if reason != "" {
				body["reason"] = reason
			}
			if all {
				body["all"] = true
			}
			if len(body) != 1 {
				return usageError("expected ids, --reason or --all, one of them")
			}
			return a.replay(c, body)
		},
	}
	replay.Flags().StringVar(&reason, "reason", "", "all with this reason")
	replay.Flags().BoolVar(&all, "all", false, "all")
	return replay
}

func (a *app) replay(c *cobra.Command, body map[string]any) error {
	var total gateway.Replayed
	for {
		var some gateway.Replayed
		if _, err := a.post(c.Context(), "/v1/deadletters/replay", body, &some); err != nil {
			return err
		}
		total.Replayed += some.Replayed
		total.NotFound = append(total.NotFound, some.NotFound...)
		if some.Next == 0 {
			break
		}
		body["after"] = some.Next
	}
	if err := a.showValue(total, func() {
		fmt.Fprintf(a.out, "%d dead letters are on their way again.\n", total.Replayed)
		for _, id := range total.NotFound {
			fmt.Fprintf(a.out, "There is no dead letter %d.\n", id)
		}
	}); err != nil {
		return err
	}
	if len(total.NotFound) > 0 {
		return errReported
	}
	return nil
}
