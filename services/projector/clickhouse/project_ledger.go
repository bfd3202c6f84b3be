package clickhouse

import (
	"context"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// projectLedger fills batches from the stream while the one before is sent.
func (p *Projection) projectLedger(ctx context.Context, conn driver.Conn, settings []setting) error {
	s, err := p.config.JetStream.Stream(ctx, events.StreamLedger)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", events.StreamLedger, err)
	}
	at, err := readPosition(ctx, conn)
	if err != nil {
		return err
	}
	promises, err := at.promises()
	if err != nil {
		return err
	}
	if err := at.verify(ctx, s); err != nil {
		return err
	}
	reader, err := stream.Read(ctx, s, 1) // from the beginning: the fold needs all of it
	if err != nil {
		return err
	}
	defer reader.Close()
	p.status.written(events.StreamLedger, at.next()-1) // rollups may be behind until the newest batch is sent again
	p.log.InfoContext(ctx, "clickhouse projection runs", "from", at.next(), "resent_batches", len(promises))
	f := &filler{
		projection: p, messages: reader.Messages(), folder: newFolder(), next: at.next(),
		cutter: cutter{limits: p.limits, promised: promises},
	}
	w := &writer{
		projection: p, conn: conn, stream: s, settings: settings, inserter: p.newInserter(p.options),
		sent: at.ledger.span, promised: len(promises),
	}
	defer w.inserter.close()
	return pump(ctx, f, w)
}

// pump lets f fill one batch while w sends another.
func pump(ctx context.Context, f *filler, w *writer) error {
	full, free := make(chan *batch), make(chan *batch, 1)
	free <- newBatch()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.run(ctx, full, free) })
	g.Go(func() error { return w.run(ctx, full, free) })
	return g.Wait()
}

// filler folds messages into batches and hands each over when it is full, or
// when its first row has waited long enough and the writer is free.
type filler struct {
	projection *Projection
	messages   <-chan stream.Message
	folder     *folder
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

// renew goes on with an empty batch after the last was handed over.
func (f *filler) renew(ctx context.Context, free <-chan *batch) error {
	select {
	case f.batch = <-free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f.complete, f.due = false, false
	f.flush.Stop()
	if m := f.waiting; m != nil {
		f.waiting = nil
		return f.take(*m)
	}
	return nil
}

// writer sends batches, one after the other.
type writer struct {
	projection *Projection
	conn       driver.Conn
	stream     jetstream.Stream
	settings   []setting
	inserter   inserter
	sent       span // the newest batch that ClickHouse acknowledged
	promised   int  // how many batches may have been sent before this writer came
}

func (w *writer) run(ctx context.Context, full <-chan *batch, free chan<- *batch) error {
	for {
		var b *batch
		select {
		case b = <-full:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b.seal()
		if err := w.projection.retry(ctx, func(attempt int) error { return w.send(ctx, b, attempt) }); err != nil {
			return err
		}
		w.sent, w.promised = b.span, max(0, w.promised-1)
		w.projection.status.rows("usage_events", b.usage.rows())
		w.projection.status.rows("ledger", b.ledger.rows())
		w.projection.status.written(events.StreamLedger, b.span.last)
		b.reset()
		free <- b // has room: there are two batches, and the filler has the other
	}
}

// send inserts b into both tables: usage_events first, so that a batch which
// ledger holds is in both. A crash in between leaves usage_events one batch
// ahead, which the next start reads there.
func (w *writer) send(ctx context.Context, b *batch, attempt int) error {
	if attempt > 0 {
		if err := w.recheck(ctx, b); err != nil {
			return err
		}
	}
	for _, table := range []*columns{b.usage.columns, b.ledger.columns} {
		if table.rows() == 0 {
			continue
		}
		if err := w.insert(ctx, table, b.span); err != nil {
			return fmt.Errorf("insert %d rows of batch %s into table %s: %w", table.rows(), b.span, table.table, err)
		}
	}
	if w.promised == 0 && attempt == 0 {
		return nil
	}
	return w.confirm(ctx, b)
}

// confirm makes sure that b is there after it was sent again, or may have been:
// a table that remembers b's token and not its rows drops it without a word.
func (w *writer) confirm(ctx context.Context, b *batch) error {
	for _, table := range []*columns{b.usage.columns, b.ledger.columns} {
		if table.rows() == 0 {
			continue
		}
		at, err := newestBatch(ctx, w.conn, table.table)
		if err != nil {
			return err
		}
		ahead := w.promised > 1 && table == b.usage.columns && at.first == b.span.last+1
		if at.span != b.span && !ahead {
			return diverged("table %s took batch %s for one that it has, and ends with %s", table.table, b.span, at.span)
		}
	}
	return nil
}

func (w *writer) insert(ctx context.Context, c *columns, s span) error {
	token := s.token(events.StreamLedger)
	return w.inserter.insert(ctx, insert{
		table: c.table, input: c.input, queryID: newQueryID(w.projection.options.Auth.Database, c.table, token),
		settings: append([]setting{{"insert_deduplication_token", token}}, w.settings...),
	})
}

// recheck makes sure, after an error, that ClickHouse still stands where it
// stood: b can only follow what was sent before it. A server that lost what it
// acknowledged may have kept the rollups of it, which would be filled twice.
func (w *writer) recheck(ctx context.Context, b *batch) error {
	if info, err := w.stream.Info(ctx); err == nil {
		w.projection.status.seen(events.StreamLedger, info.State.LastSeq)
	}
	at, err := newestBatch(ctx, w.conn, b.ledger.table)
	if err != nil {
		return err
	}
	if at.span != w.sent && at.span != b.span {
		return diverged("ClickHouse acknowledged batch %s, and now ends with %s", w.sent, at.span)
	}
	return nil
}
