package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/engine"
)

func (a *app) clickhouseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "clickhouse", Short: "Run the embedded ClickHouse engine alone", Args: cobra.NoArgs,
		Long: `Run the embedded ClickHouse engine alone, on the data folder's ClickHouse data,
with HTTP and native protocol on loopback, until interrupted.`,
		Example: "  drawdown clickhouse --data data",
		RunE: func(c *cobra.Command, _ []string) error {
			unlock, err := a.dataDir().Lock()
			if err != nil {
				return err
			}
			defer unlock()
			e, err := a.startEngine(c.Context(), a.logger(a.errs))
			if err != nil {
				return err
			}
			defer e.Close()
			endpoints := config.Endpoints{ClickHouse: e.NativeDSN(engine.Database), Analyst: queryURL(e.AnalystHTTPDSN()), PID: os.Getpid(), EnginePID: e.PID()}
			if err := a.dataDir().WriteEndpoints(endpoints); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "ClickHouse answers; DSNs with their passwords are in %s.\n  native  %s\n  HTTP    %s\nCtrl-C stops it.\n",
				a.dataDir().Endpoints(), hostOf(e.NativeDSN(engine.Database)), hostOf(e.HTTPDSN(engine.Database)))
			<-c.Context().Done()
			return nil
		},
	}
}

// startEngine starts the engine of the data folder. It outlives ctx: whoever
// starts it closes it, after those who write to it.
func (a *app) startEngine(ctx context.Context, log *slog.Logger) (*engine.Engine, error) {
	lib, err := engine.Locate(a.cfg.EngineLib)
	if err != nil {
		return nil, err
	}
	return engine.Start(context.WithoutCancel(ctx), engine.Config{
		Lib: lib, Dir: a.dataDir().ClickHouse(),
		HTTPPort: a.cfg.ClickHouseHTTPPort, NativePort: a.cfg.ClickHouseNativePort, Logger: log.With("service", "clickhouse"),
	})
}
