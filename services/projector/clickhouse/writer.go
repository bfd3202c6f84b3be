package clickhouse

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	// verifyEvery is how often an idle writer checks that LEDGER still holds what
	// it has sent.
	verifyEvery = 30 * time.Second
	// freshFor is how long after it was agreed on a batch may be sent without
	// asking whether it still is the newest. ClickHouse recognises the newest
	// 10 000 batches: far more than others can send in this time.
	freshFor = time.Minute
)

// writer agrees on batches and sends them, one after the other.
type writer struct {
	projection *Projection
	ledger     stream.Log
	manifest   *agreement
	asked      time.Time // when the manifest was last known to be the newest
	sent       Span      // the newest batch that ClickHouse acknowledged
	promised   int       // how many batches may have been sent before this writer came
}

func (w *writer) run(ctx context.Context, full <-chan *batch, free chan<- *batch) error {
	idle := time.NewTicker(verifyEvery)
	defer idle.Stop()
	var asked <-chan struct{}
	until := uint64(math.MaxUint64)
	if e := w.projection.ending; e != nil {
		asked = e.asked
	}
	for {
		if w.promised == 0 && w.sent.Last >= until {
			return errEnded
		}
		var b *batch
		select {
		case <-asked:
			asked, until = nil, w.projection.ending.until
			continue
		case b = <-full:
		case <-idle.C:
			if err := w.verify(ctx); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := w.write(ctx, b); err != nil {
			return err
		}
		b.reset()
		free <- b // has room: there are two batches, and the filler has the other
	}
}

// verify checks that nothing has happened behind the writer's back.
func (w *writer) verify(ctx context.Context) error {
	if err := w.manifest.holds(ctx); err != nil {
		return err
	}
	return w.manifest.manifest.Newest.Mark.Verify(ctx, w.ledger)
}

func (w *writer) write(ctx context.Context, b *batch) error {
	p := w.projection
	b.seal()
	if err := p.retry(ctx, "agree", func(int) error { return w.agree(ctx, b) }); err != nil {
		return err
	}
	if err := p.retry(ctx, "insert", func(attempt int) error { return w.send(ctx, b, attempt) }); err != nil {
		return err
	}
	w.sent, w.promised = b.span, max(0, w.promised-1)
	for _, t := range b.tables() {
		p.status.rows(t.name(), t.rows())
	}
	p.status.written(events.StreamLedger, b.span.Last)
	p.noteStops(ctx, b.stops)
	return nil
}

// agree makes b the newest batch that the manifest tells of. LEDGER still holds
// what b ends with then, and what it follows: a stream that lost its end may have
// grown beyond it again, with no connection broken.
func (w *writer) agree(ctx context.Context, b *batch) error {
	m := w.manifest.manifest
	if m.Newest.Span == b.span {
		w.asked = time.Now()
		return w.manifest.holds(ctx)
	}
	for _, mark := range []stream.Mark{m.Newest.Mark, b.mark} {
		if err := mark.Verify(ctx, w.ledger); err != nil {
			return err
		}
	}
	m.Previous = m.Newest
	m.Newest = agreed{Span: b.span, Mark: b.mark, LedgerRows: b.ledger.rows(), UsageRows: b.usage.rows()}
	m.Stopped = b.stops
	w.asked = time.Now()
	return w.manifest.propose(ctx, m)
}

// send inserts b into every table it has rows for, ledger last, so that a batch
// which ledger holds is in all. A crash in between leaves usage_events one batch
// ahead.
func (w *writer) send(ctx context.Context, b *batch, attempt int) error {
	if attempt > 0 {
		if err := w.recheck(ctx, b); err != nil {
			return err
		}
	}
	for _, t := range b.tables() {
		if t.rows() == 0 {
			continue
		}
		if err := w.fresh(ctx); err != nil {
			return err
		}
		block := Block{
			Table: t.name(), Token: b.span.token(events.StreamLedger), Span: b.span, Generation: w.manifest.manifest.Generation, content: t,
		}
		if err := w.projection.store.Insert(ctx, block); err != nil {
			return fmt.Errorf("insert %d rows of batch %s into table %s: %w", t.rows(), b.span, t.name(), err)
		}
	}
	if w.promised == 0 && attempt == 0 {
		return nil
	}
	return w.confirm(ctx, b)
}

// fresh makes sure that others cannot have gone far beyond the batch: so far
// that ClickHouse would not recognise it any more.
func (w *writer) fresh(ctx context.Context) error {
	if time.Since(w.asked) < freshFor {
		return nil
	}
	asked := time.Now()
	if err := w.manifest.holds(ctx); err != nil {
		return err
	}
	w.asked = asked
	return nil
}

// confirm makes sure that b is there after it was sent again, or may have been:
// a table that remembers b's token and not its rows drops it without a word.
func (w *writer) confirm(ctx context.Context, b *batch) error {
	at, err := readPosition(ctx, w.projection.store)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		table Table
		rows  int
		at    Held
	}{{TableUsage, b.usage.rows(), at.usage}, {TableLedger, b.ledger.rows(), at.ledger}} {
		ahead := w.promised > 1 && c.table == TableUsage && c.at.First == b.span.Last+1
		if c.rows == 0 || c.at.Span == b.span || ahead {
			continue
		}
		if err := w.manifest.holds(ctx); err != nil { // another writer has sent b, and more
			return err
		}
		return diverged("table %s took batch %s for one that it has, and ends with %s", c.table, b.span, c.at.Span)
	}
	return nil
}

// recheck makes sure, after an error, that ClickHouse still stands where it
// stood: b can only follow what was sent before it. A server that lost what it
// acknowledged may have kept the rollups of it, which would be filled twice.
func (w *writer) recheck(ctx context.Context, b *batch) error {
	if state, err := w.ledger.State(ctx); err == nil {
		w.projection.status.seen(events.StreamLedger, state.Last)
	}
	at, err := w.projection.store.Newest(ctx, TableLedger)
	if err != nil {
		return err
	}
	w.asked = time.Now()
	if err := w.manifest.holds(ctx); err != nil {
		return err
	}
	if at.Span != w.sent && at.Span != b.span {
		return diverged("ClickHouse acknowledged batch %s, and now ends with %s", w.sent, at.Span)
	}
	return nil
}
