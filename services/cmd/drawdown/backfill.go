package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/internal/backfill"
	"github.com/drawdown-credits/drawdown/services/internal/importer"
)

// backfillBatch is how many old events are looked for in one reading of the
// ledger.
const backfillBatch = 200_000

// backfiller sends old events that the ledger does not charge yet.
type backfiller struct {
	*inside
	emitter *emit.Emitter
}

// openBackfill connects to NATS itself: the gateway takes no backfills.
func (a *app) openBackfill(ctx context.Context) (*backfiller, error) {
	url, err := a.natsURL()
	if err != nil {
		return nil, err
	}
	in, err := a.enterAs(ctx, url, "import")
	if err != nil {
		return nil, err
	}
	emitter, err := emit.New(in.nc, emit.Options{Partitions: in.streams.Partitions})
	if err != nil {
		in.close()
		return nil, fmt.Errorf("open NATS to send old events: %w", err)
	}
	return &backfiller{inside: in, emitter: emitter}, nil
}

// natsURL is where NATS is: from the settings, or else from the data folder of a
// running installation.
func (a *app) natsURL() (string, error) {
	if a.cfg.NATSURL != "" {
		return a.cfg.NATSURL, nil
	}
	endpoints, err := a.dataDir().ReadEndpoints()
	return endpoints.NATS, err
}

func (b *backfiller) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = b.emitter.Close(ctx) // every event's outcome is known
	b.inside.close()
}

// sendOld sends the old records that the ledger does not charge yet.
func (j *importJob) sendOld(ctx context.Context) error {
	if len(j.old) == 0 {
		return nil
	}
	if j.backfill == nil {
		b, err := j.app.openBackfill(ctx)
		if err != nil {
			return err
		}
		j.backfill = b
	}
	if err := j.grantNew(ctx, j.old); err != nil {
		return err
	}
	fresh, err := j.backfill.unknown(ctx, usagesOf(j.old))
	if err != nil {
		return err
	}
	if err := errors.Join(j.backfill.emitter.EmitBatch(ctx, fresh)...); err != nil {
		return err
	}
	j.result.Accepted += len(fresh)
	j.result.Known += len(j.old) - len(fresh)
	j.old = j.old[:0]
	return nil
}

// unknown returns the usages that the ledger does not charge, marked as looked
// for.
func (b *backfiller) unknown(ctx context.Context, usages []events.Usage) ([]events.Usage, error) {
	checked, err := backfill.Check(ctx, b.broker, b.streams.Partitions, usages, nil)
	if err != nil {
		return nil, fmt.Errorf("look for old events in the ledger: %w", err)
	}
	fresh := usages[:0]
	for i, u := range usages {
		if !checked.Known[i] {
			u.Backfill = checked.At
			fresh = append(fresh, u)
		}
	}
	return fresh, nil
}

func usagesOf(records []importer.Record) []events.Usage {
	usages := make([]events.Usage, len(records))
	for i, record := range records {
		usages[i] = record.Usage
	}
	return usages
}
