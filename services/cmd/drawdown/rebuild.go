package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

func (a *app) rebuildCommand() *cobra.Command {
	command := parent("rebuild", "Make balances or ClickHouse anew from the ledger, beside live traffic",
		&cobra.Command{
			Use: "balances", Short: "Make the buckets of balances and of the catalog anew", Args: cobra.NoArgs,
			Example: "  drawdown rebuild balances",
			RunE:    func(c *cobra.Command, _ []string) error { return a.rebuildBalances(c.Context()) },
		},
		&cobra.Command{
			Use: "clickhouse", Short: "Make all ClickHouse tables anew", Args: cobra.NoArgs,
			Example: "  drawdown rebuild clickhouse",
			RunE:    func(c *cobra.Command, _ []string) error { return a.rebuildClickHouse(c.Context()) },
		},
	)
	command.Long = `Make a projection anew from the first entry of the ledger on, while everything
goes on. Both say what they found wrong; when nothing was, nothing changes.

  balances    every value that is not as the ledger says is replaced
  clickhouse  all tables are filled beside the old ones and then exchanged`
	return command
}

// inside is an installation's streams, for a command that works on them.
type inside struct {
	nc      *nats.Conn
	streams *stream.Streams
	broker  stream.Broker
}

// enterAs connects to the streams for the command of that name. Close it.
func (a *app) enterAs(ctx context.Context, natsURL, command string) (*inside, error) {
	nc, streams, err := observe(ctx, natsURL, "drawdown-"+command)
	if err != nil {
		return nil, err
	}
	broker, err := stream.NewBroker(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &inside{nc: nc, streams: streams, broker: broker}, nil
}

func (in *inside) close() { in.nc.Close() }

func (a *app) rebuildBalances(ctx context.Context) error {
	url, err := a.natsURL()
	if err != nil {
		return err
	}
	in, err := a.enterAs(ctx, url, "rebuild")
	if err != nil {
		return err
	}
	defer in.close()
	report, err := in.rebuildBalances(ctx, a)
	if err != nil {
		return err
	}
	return a.showValue(report, func() { a.printBalancesRebuilt(report) })
}

func (in *inside) rebuildBalances(ctx context.Context, a *app) (balances.Report, error) {
	bar := a.steps()
	defer bar.finish()
	return balances.Rebuild(ctx, balances.RebuildConfig{
		Broker: in.broker, Partitions: in.streams.Partitions, Installation: in.streams.Installation,
		Snapshots: snapshot.NewStore(in.broker), Logger: a.commandLog(),
	}, func(done, total uint64) { bar.show("folding the ledger", done, total) })
}

func (a *app) printBalancesRebuilt(r balances.Report) {
	table(a.out,
		[]any{"balances", fmt.Sprintf("%d as the ledger says, %d replaced, %d removed", r.Accounts.Equal, r.Accounts.Replaced, r.Accounts.Removed)},
		[]any{"catalog", fmt.Sprintf("%d as the ledger says, %d replaced, %d removed", r.Catalog.Equal, r.Catalog.Replaced, r.Catalog.Removed)},
	)
}

func (a *app) rebuildClickHouse(ctx context.Context) error {
	url, dsn, err := a.stores()
	if err != nil {
		return err
	}
	in, err := a.enterAs(ctx, url, "rebuild")
	if err != nil {
		return err
	}
	defer in.close()
	report, err := in.rebuildClickHouse(ctx, a, dsn)
	if err != nil {
		return err
	}
	return a.showValue(report, func() { a.printClickHouseRebuilt(report) })
}

func (in *inside) rebuildClickHouse(ctx context.Context, a *app, dsn string) (clickhouse.Report, error) {
	bar := a.steps()
	defer bar.finish()
	return clickhouse.Rebuild(ctx, clickhouse.Config{
		Broker: in.broker, Installation: in.streams.Installation, Partitions: in.streams.Partitions, DSN: dsn,
		Snapshots: snapshot.NewStore(in.broker), FlushEvery: a.cfg.FlushInterval, Logger: a.commandLog(),
	}, func(p clickhouse.Progress) { bar.show(stages[p.Stage], p.Done, p.Total) })
}

var stages = map[string]string{
	clickhouse.StageFill: "filling new tables", clickhouse.StageCompare: "comparing", clickhouse.StageSwap: "exchanging tables",
}

func (a *app) printClickHouseRebuilt(r clickhouse.Report) {
	if r.Equal() {
		fmt.Fprintf(a.out, "The tables were as the ledger says through sequence %d.\n", r.Through)
		return
	}
	for _, d := range r.Differences {
		fmt.Fprintf(a.out, "%s, %s: %s before, %s now\n", d.Table, d.Subject, d.Live, d.Rebuilt)
	}
	fmt.Fprintf(a.out, "%d differences are gone: the tables are as the ledger says through sequence %d.\n", len(r.Differences), r.Through)
}

// commandLog is where a command that works on an installation logs: to people,
// and only what may need them.
func (a *app) commandLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// steps draws the steps of long work, one bar after the other, for people at a
// screen.
type steps struct {
	visible bool
	bar     *progressbar.ProgressBar
	current string
}

func (a *app) steps() *steps {
	return &steps{visible: a.format == "text" && isTerminal(os.Stderr)}
}

func (s *steps) show(step string, done, total uint64) {
	if !s.visible {
		return
	}
	if step != s.current {
		s.finish()
		s.bar = progressbar.NewOptions64(int64(total), progressbar.OptionSetDescription(step),
			progressbar.OptionSetWriter(os.Stderr), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		s.current = step
	}
	s.bar.ChangeMax64(int64(total))
	_ = s.bar.Set64(int64(done)) // only draws
}

func (s *steps) finish() {
	if s.bar != nil {
		_ = s.bar.Finish() // only draws
	}
}
