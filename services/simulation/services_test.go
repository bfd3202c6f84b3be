package simulation

import (
	"context"

	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
	"github.com/drawdown-credits/drawdown/services/rater"
)

const installation = "simulated"

// services are the services of an installation.
var services = []service{
	{name: "rater", most: 3, parts: partitions, run: runRater},
	{name: "clickhouse", most: 2, parts: 1, run: runClickHouse},
}

func runRater(_ *world, in *instance, ctx context.Context) error {
	return rater.New(rater.Config{
		Broker: in.client, Share: in.share, Partitions: partitions, Logger: logger(),
	}).Run(ctx)
}

func runClickHouse(w *world, in *instance, ctx context.Context) error {
	p, err := clickhouse.New(clickhouse.Config{
		Broker: in.client, Share: in.share, Installation: installation, Store: &connection{w: w, client: in.client},
		BatchRows: w.profile.batchRows, Logger: logger(),
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// disk is what an instance keeps over its lives.
type disk struct{}

func newDisk() *disk { return &disk{} }

// crash returns what a power cut leaves of a disk.
func (d *disk) crash(*world) *disk { return d }
