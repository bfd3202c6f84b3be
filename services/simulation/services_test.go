package simulation

import (
	"context"
	"time"

	"github.com/drawdown-credits/drawdown/services/enforcer"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
	"github.com/drawdown-credits/drawdown/services/rater"
)

const installation = "simulated"

// services are the services of an installation.
var services = []service{
	{name: "rater", most: 3, parts: partitions, run: runRater},
	{name: "balances", most: 3, parts: partitions, run: runBalances},
	{name: "enforcer", most: 3, parts: partitions, run: runEnforcer},
	{name: "clickhouse", most: 2, parts: 1, run: runClickHouse},
}

func runRater(ctx context.Context, w *world, in *instance) error {
	return rater.New(rater.Config{
		Broker: in.client, Share: in.share, Partitions: partitions, Installation: installation,
		StateDir: "state", Disk: in.disk, Horizon: horizon, MaxAhead: maxAhead, Logger: w.logs.logger(),
	}).Run(ctx)
}

func runBalances(ctx context.Context, w *world, in *instance) error {
	p, err := balances.New(balances.Config{
		Broker: in.client, Share: in.share, Partitions: partitions, Installation: installation,
		Snapshots: snapshot.NewStore(in.client), SnapshotEntries: w.profile.snapshots, SnapshotEvery: 5 * time.Second,
		Now: in.now, Logger: w.logs.logger(),
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

func runEnforcer(ctx context.Context, w *world, in *instance) error {
	e, err := enforcer.New(enforcer.Config{
		Broker: in.client, Share: in.share, Partitions: partitions, Logger: w.logs.logger(),
	})
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

func runClickHouse(ctx context.Context, w *world, in *instance) error {
	p, err := clickhouse.New(clickhouse.Config{
		Broker: in.client, Share: in.share, Installation: installation, Partitions: partitions, Store: &connection{w: w, client: in.client},
		Snapshots: snapshot.NewStore(in.client), BatchRows: w.profile.batchRows, Logger: w.logs.logger(),
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}
