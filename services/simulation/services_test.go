package simulation

import (
	"context"

	"github.com/drawdown-credits/drawdown/services/rater"
)

// services are the services of an installation.
var services = []service{
	{name: "rater", most: 3, parts: partitions, run: runRater},
}

func runRater(_ *world, in *instance, ctx context.Context) error {
	return rater.New(rater.Config{
		Broker: in.client, Share: in.share, Partitions: partitions, Logger: logger(),
	}).Run(ctx)
}

// disk is what an instance keeps over its lives.
type disk struct{}

func newDisk() *disk { return &disk{} }

// crash returns what a power cut leaves of a disk.
func (d *disk) crash(*world) *disk { return d }
