package clickhouse

import (
	"context"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// filler folds messages into batches and hands each over when it is full, or
// when its first row has waited long enough and the writer is free.
type filler struct {
	projection *Projection
	messages   <-chan stream.Message
	folder     *folder
	snapshots  *snapshots
	next       uint64 // the first sequence that is sent
	cutter     cutter
	batch      *batch
	complete   bool            // nothing more goes into batch
	waiting    *stream.Message // the message that did not fit
	flush      *time.Timer
	due        bool
}

func (f *filler) run(ctx context.Context, full chan<- *batch, free <-chan *batch) error {
	f.batch, f.flush = newBatch(), time.NewTimer(time.Hour)
	defer f.flush.Stop()
	for {
		in, out := f.messages, full
		if f.complete {
			in = nil
		} else if !f.due || !f.cutter.early() {
			out = nil
		}
		var err error
		select {
		case m := <-in:
			err = f.take(m)
		case out <- f.batch:
			err = f.renew(ctx, free)
		case <-f.flush.C:
			f.due = true
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// take folds m into the batch, or keeps it for the next one.
func (f *filler) take(m stream.Message) error {
	f.projection.status.seen(events.StreamLedger, m.Sequence+m.Pending)
	if m.Sequence < f.next {
		return f.folder.fold(m, nil)
	}
	if f.cutter.before(f.batch, m.Time) {
		f.complete, f.waiting = true, &m
		return nil
	}
	if f.batch.empty() {
		f.due = false
		f.flush.Reset(f.projection.config.FlushEvery)
	}
	if err := f.folder.fold(m, f.batch); err != nil {
		return err
	}
	if f.cutter.after(f.batch) {
		f.complete = true
		return f.cutter.keep(f.batch)
	}
	return nil
}

// save keeps the state of the fold from time to time. It changes nothing but
// the cost of the next start.
func (f *filler) save(ctx context.Context) {
	if !f.snapshots.due(f.folder.entries) {
		return
	}
	if err := f.snapshots.save(ctx, f.folder); err != nil {
		f.projection.log.WarnContext(ctx, "clickhouse projection did not save a snapshot", "err", err)
	}
}

// renew goes on with an empty batch after the last was handed over.
func (f *filler) renew(ctx context.Context, free <-chan *batch) error {
	select {
	case f.batch = <-free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f.complete, f.due = false, false
	f.flush.Stop()
	f.save(ctx)
	if m := f.waiting; m != nil {
		f.waiting = nil
		return f.take(*m)
	}
	return nil
}
