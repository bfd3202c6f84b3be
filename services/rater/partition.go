package rater

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// errReconnected makes a partition look again at what the streams hold: the
// server may have come back without its tail.
var errReconnected = errors.New("the connection to NATS was interrupted")

// partition rates one partition. Its methods run on one goroutine.
type partition struct {
	*Rater
	held    *lease.Held
	number  int
	subject string // of its own ledger messages
	log     *slog.Logger

	index *dedup.Index // nil until it is opened, and after it broke
	recent
	position events.Position // the last usage event that is settled
	fence    uint64          // the last of the partition's own ledger messages
	pending  uint64          // messages behind the last one read
	stopped  string          // why, while it is
}

// work rates a partition until ctx ends.
func (r *Rater) work(ctx context.Context, held *lease.Held) {
	p := &partition{
		Rater: r, held: held, number: held.Partition, subject: events.LedgerSubject(held.Partition, events.WriterUsage),
		log: r.log.With("partition", held.Partition),
	}
	defer p.closeIndex()
	p.metrics.stopped.WithLabelValues(label(p.number)).Set(0)
	p.report(lease.StateStarting, nil)
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		before := p.fence
		err := p.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if p.fence != before {
			wait = retryMin // it came on
		}
		if stops(err) {
			p.stop(err)
			wait = retryMax
		} else {
			p.retry(err)
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// stops reports whether going on after err would risk a wrong charge. What the
// ledger lost is rated again; what USAGE lost must be looked at.
func stops(err error) bool {
	var corrupt *corruptError
	var rewound *stream.RewindError
	return errors.As(err, &corrupt) || errors.As(err, &rewound) && rewound.Stream == events.StreamUsage
}

// stop tells why the partition is stopped, once for each reason.
func (p *partition) stop(err error) {
	p.report(lease.StateStopped, err)
	if p.stopped != err.Error() {
		p.stopped = err.Error()
		p.metrics.stopped.WithLabelValues(label(p.number)).Set(1)
		p.log.Error("partition is stopped", "err", err)
	}
}

// retry counts and logs why a session ended.
func (p *partition) retry(err error) {
	p.report(lease.StateRetrying, err)
	switch {
	case errors.Is(err, stream.ErrFenced):
		p.metrics.retries.WithLabelValues("fenced").Inc()
		p.log.Info("another rater writes this partition too")
	case errors.Is(err, errReconnected):
		p.metrics.retries.WithLabelValues("reconnected").Inc()
		p.log.Info("partition goes on after a reconnect")
	default:
		p.metrics.retries.WithLabelValues("trouble").Inc()
		p.log.Warn("partition goes back to what the ledger says", "err", err)
	}
}

func (p *partition) report(state string, err error) {
	r := lease.Report{State: state, Sequence: p.position.Sequence, Lag: p.pending, Known: p.known()}
	if err != nil {
		r.Error = err.Error()
	}
	p.held.Report(r)
	p.metrics.known.WithLabelValues(label(p.number)).Set(float64(r.Known))
}

// session takes up what the ledger says and rates from there, until something
// goes wrong.
func (p *partition) session(ctx context.Context) error {
	lost, stop := p.config.Broker.Interrupted()
	defer stop()
	if p.index != nil && p.index.Broken() {
		p.closeIndex()
	}
	if err := p.resume(ctx); err != nil {
		return err
	}
	if err := verified(ctx, p.usage, positionMark(p.position)); err != nil {
		return err
	}
	reader, err := p.usage.Read(ctx, stream.From{Sequence: p.position.Sequence},
		events.StoredUsageSubject(p.number, "*"), events.BatchSubject(p.number))
	if err != nil {
		return err
	}
	defer reader.Close()
	corrections, err := p.ledger.Read(ctx, p.uncorrected(), events.CorrectionSubjects(p.number))
	if err != nil {
		return err
	}
	defer corrections.Close()
	p.stopped = ""
	p.metrics.stopped.WithLabelValues(label(p.number)).Set(0)
	p.report(lease.StateLive, nil)
	p.log.Info("rating", "through", p.position.Sequence, "known", p.known())
	return p.pump(ctx, reader.Messages(), corrections.Messages(), lost)
}

// written is the outcome of writing a chunk.
type written struct {
	chunk    *chunk
	sequence uint64
	err      error
}

// pump rates messages. While one chunk is being written the next one fills, so
// that chunks grow with the load and nothing waits for more to come. A correction
// counts for the events that are rated after it has come.
func (p *partition) pump(ctx context.Context, messages, corrections <-chan stream.Message, lost <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan written, 1)
	var writing *chunk
	defer func() {
		cancel()
		if writing != nil {
			<-results
		}
	}()
	save, verify := time.NewTicker(saveEvery), time.NewTicker(verifyEvery)
	defer save.Stop()
	defer verify.Stop()
	f := &filler{partition: p, corrections: corrections, chunk: newChunk()}
	for {
		if err := f.admit(); err != nil {
			return err
		}
		if err := f.fill(ctx, messages); err != nil {
			return err
		}
		if writing == nil && !f.chunk.empty() {
			writing, f.chunk = f.chunk, newChunk()
			go p.write(ctx, writing, results)
			continue
		}
		if writing == nil && f.chunk.corrected.Sequence > 0 { // and nothing to append
			p.settle(f.chunk)
			f.chunk = newChunk()
		}
		next := messages
		if f.chunk.full() {
			next = nil
		}
		var err error
		select {
		case m := <-next:
			f.take(m)
		case m := <-corrections:
			err = f.amend(m)
		case w := <-results:
			writing = nil
			err = p.commit(ctx, w)
		case <-save.C:
			err = p.save(ctx)
		case <-verify.C:
			err = p.verify(ctx)
		case <-lost:
			err = errReconnected
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (p *partition) write(ctx context.Context, c *chunk, results chan<- written) {
	sequence, err := p.append(ctx, c)
	results <- written{chunk: c, sequence: sequence, err: err}
}

// commit moves on behind a chunk that is in the ledger.
func (p *partition) commit(ctx context.Context, w written) error {
	if w.err != nil {
		return w.err
	}
	p.fence, p.position = w.sequence, w.chunk.span.Through
	p.settle(w.chunk)
	p.metrics.settled(w.chunk)
	p.report(lease.StateLive, nil)
	if len(p.unsaved) >= saveKeysMax {
		return p.save(ctx)
	}
	return nil
}

// verify checks that the streams still hold what the partition stands on.
func (p *partition) verify(ctx context.Context) error {
	for _, mark := range []stream.Mark{p.index.State().Mark, p.counters.corrected} {
		if err := verified(ctx, p.ledger, mark); err != nil {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
	}
	return verified(ctx, p.usage, positionMark(p.position))
}

// corruptError says that the ledger holds what the rater cannot have left there.
// Going on would risk a wrong charge, so the partition stops.
type corruptError struct {
	sequence uint64
	reason   string
}

func corrupt(m stream.Message, format string, args ...any) error {
	return &corruptError{sequence: m.Sequence, reason: fmt.Sprintf(format, args...)}
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("message %d of stream %s: %s", e.sequence, events.StreamLedger, e.reason)
}
