package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

func (a *app) signalsCommand() *cobra.Command {
	var follow bool
	var account, kind string
	var from uint64
	command := &cobra.Command{
		Use: "signals", Short: "Watch accounts go low, exhausted and restored", Args: cobra.NoArgs,
		Example: "  drawdown signals --follow --account acme",
		RunE: func(c *cobra.Command, _ []string) error {
			if !follow {
				return usageError("expected --follow: signals are a stream without an end")
			}
			query := url.Values{}
			if from > 0 {
				query.Set("from", strconv.FormatUint(from, 10))
			}
			if kinds := events.SignalKinds(); kind != "" && !slices.Contains(kinds, events.SignalKind(kind)) {
				return usageError("--kind %q: expected one of %s", kind, strings.Trim(fmt.Sprint(kinds), "[]"))
			}
			for name, value := range map[string]string{"account": account, "kind": kind} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return a.signals(c.Context(), query)
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "print them as they come, over reconnects too, until interrupted")
	command.Flags().Uint64Var(&from, "from", 0, "begin at this sequence of stream SIGNALS; 1: the first ever; default those from now on")
	command.Flags().StringVar(&account, "account", "", "of one account only")
	command.Flags().StringVar(&kind, "kind", "", "of one kind only: "+strings.Trim(fmt.Sprint(events.SignalKinds()), "[]"))
	return command
}

// signals prints signals until ctx ends, over lost connections too.
func (a *app) signals(ctx context.Context, query url.Values) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	client.http = &http.Client{} // a stream has no end to time
	for last := ""; ; {
		last, err = a.signalStream(ctx, client, query, last)
		switch {
		case ctx.Err() != nil:
			return nil
		case isProblem(err) || last == "" && err != nil:
			return err
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return nil
		}
	}
}

func isProblem(err error) bool {
	var p *problem
	return errors.As(err, &p)
}

// signalStream reads one connection's events and returns the last id seen.
func (a *app) signalStream(ctx context.Context, c *client, query url.Values, last string) (string, error) {
	if last != "" {
		query.Del("from")
	}
	answer, err := c.stream(ctx, "/v1/signals?"+query.Encode(), last)
	if err != nil {
		return last, err
	}
	defer func() { _ = answer.Body.Close() }() // the stream is over or given up
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			last = string(value)
		case "data":
			if err := a.printSignal(value); err != nil {
				return last, err
			}
		}
	}
	return last, lines.Err()
}

func (a *app) printSignal(encoded []byte) error {
	if a.format == "json" {
		_, err := fmt.Fprintln(a.out, string(encoded))
		return err
	}
	s, err := events.DecodeSignal(encoded)
	if err != nil {
		return fmt.Errorf("decode a signal: %w", err)
	}
	asks := ""
	if r := s.TopUp; r != nil {
		asks = fmt.Sprintf(", asks for %s as %s", r.Amount, r.ID)
	}
	_, err = fmt.Fprintf(a.out, "%s  %-15s %-20s threshold %-6s available %s, overage %s, by %s %s%s\n",
		s.At.UTC().Format("2006-01-02 15:04:05.000Z"), s.Kind, s.Account, s.Threshold,
		s.Balance.Available, s.Balance.Overage, s.Cause.Kind, s.Cause.ID, asks)
	return err
}
