package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/audit"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func (a *app) verifyCommand() *cobra.Command {
	var settle time.Duration
	var repair bool
	command := &cobra.Command{
		Use: "verify", Short: "Check that usage, ledger, balances, signals and ClickHouse agree", Args: cobra.NoArgs,
		Long: `Read everything from its beginning, fold the ledger anew and compare: every
usage event charged once or dead-lettered; no credit lost; every balance as the
ledger says; signals numbered without a gap; ClickHouse equal, raw and rolled
up. It changes nothing. Exit status 1 when something differs.

With --repair, what came back shorter after a power cut is reconciled first: the
place in USAGE goes back to the last event that USAGE and the ledger both hold;
balances and ClickHouse are made anew where they do not follow from the ledger.
What the ledger itself has lost is listed, as far as ClickHouse still knows it.`,
		Example: "  drawdown verify\n  drawdown verify --repair",
		RunE:    func(c *cobra.Command, _ []string) error { return a.verify(c.Context(), settle, repair) },
	}
	command.Flags().DurationVar(&settle, "settle", 30*time.Second, "how long the services may take to catch up before it counts as a difference")
	command.Flags().BoolVar(&repair, "repair", false, "first reconcile what came back shorter after a power cut")
	return command
}

func (a *app) verify(ctx context.Context, settle time.Duration, repair bool) error {
	natsURL, dsn, err := a.stores()
	if err != nil {
		return err
	}
	in, err := a.enterAs(ctx, natsURL, "verify")
	if err != nil {
		return err
	}
	defer in.close()
	history, err := analytics.Open(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = history.Close() }() // nothing is written over it
	v := &verification{app: a, inside: in, history: history, dsn: dsn, settle: settle}
	if repair {
		return v.repair(ctx)
	}
	report, err := v.audit(ctx)
	if err != nil {
		return err
	}
	if err := a.showValue(report, func() { a.printReport(report) }); err != nil {
		return err
	}
	return outcomeOf(report)
}

// verification is one run of verify.
type verification struct {
	*inside
	app     *app
	history *analytics.DB
	dsn     string
	settle  time.Duration
}

func (v *verification) audit(ctx context.Context) (*audit.Report, error) {
	bar := v.app.steps()
	defer bar.finish()
	return audit.Run(ctx, audit.Config{
		Broker: v.broker, Partitions: v.streams.Partitions, Analytics: v.history,
		Horizon: v.app.cfg.DedupHorizon, Settle: v.settle,
		Progress: func(step string, done, total uint64) { bar.show("checking "+step, done, total) },
	})
}

// outcomeOf makes differences that were shown an exit status.
func outcomeOf(r *audit.Report) error {
	if len(r.Differences) > 0 {
		return errReported
	}
	return nil
}

// observe opens an installation as it is, for a command that looks from
// outside. The connection is the caller's to close.
func observe(ctx context.Context, natsURL, name string) (*nats.Conn, *stream.Streams, error) {
	nc, err := nats.Connect(natsURL, nats.Name(name))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS; is it running? %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("open JetStream: %w", err)
	}
	streams, err := stream.Open(ctx, js)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, streams, nil
}

// stores returns where NATS and ClickHouse are: from the settings, or else
// from the data folder of a running installation.
func (a *app) stores() (natsURL, dsn string, err error) {
	if a.cfg.NATSURL != "" && a.cfg.ClickHouseDSN != "" {
		return a.cfg.NATSURL, a.cfg.ClickHouseDSN, nil
	}
	endpoints, err := a.dataDir().ReadEndpoints()
	if err != nil {
		return "", "", err
	}
	if a.cfg.NATSURL != "" {
		endpoints.NATS = a.cfg.NATSURL
	}
	if a.cfg.ClickHouseDSN != "" {
		endpoints.ClickHouse = a.cfg.ClickHouseDSN
	}
	return endpoints.NATS, endpoints.ClickHouse, nil
}

func (a *app) printReport(r *audit.Report) {
	table(a.out,
		[]any{"usage", fmt.Sprintf("%d events in %d messages: %d charged, %d duplicates, %d dead-lettered", r.Usage.Events, r.Usage.Messages, r.Usage.Charged, r.Usage.Duplicates, r.Usage.Rejected)},
		[]any{"ledger", fmt.Sprintf("%d entries of %d accounts through sequence %d, %d corrections of usage events among them",
			r.Ledger.Entries, r.Ledger.Accounts, r.Ledger.Sequence, r.Ledger.Corrections)},
		[]any{"granted", fmt.Sprintf("%s = %s remaining + %s drawn + %s expired + %s voided", r.Credits.Granted, r.Credits.Remaining, r.Credits.Drawn, r.Credits.Expired, r.Credits.Voided)},
		[]any{"charged", fmt.Sprintf("%s = %s drawn + %s overage + %s forgiven", r.Credits.Charged, r.Credits.Drawn, r.Credits.Overage, r.Credits.Forgiven)},
		[]any{"signals", r.Signals},
		[]any{"clickhouse", r.ClickHouse},
	)
	for _, d := range r.Differences {
		fmt.Fprintf(a.out, "DIFFERENCE  %s: %s\n", d.Where, d.Detail)
	}
	if r.MoreDifferences > 0 {
		fmt.Fprintf(a.out, "and %d more differences\n", r.MoreDifferences)
	}
	if len(r.Differences) == 0 {
		fmt.Fprintln(a.out, "Everything agrees.")
	}
}
