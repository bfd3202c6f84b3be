package rater

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// errReconnected makes a partition look again at what the streams hold: the
// server may have come back without its tail.
var errReconnected = errors.New("the connection to NATS was interrupted")

// partition rates one partition. Its methods run on one goroutine.
type partition struct {
	*Rater
	number  int
	subject string // of its own ledger messages
	log     *slog.Logger

	// What its ledger messages say.
	dedup    *dedup
	position events.Position
	fence    uint64
}

// runPartition rates partition n until ctx ends, or until going on would risk
// a wrong charge.
func (r *Rater) runPartition(ctx context.Context, n int) error {
	p := &partition{
		Rater: r, number: n, subject: events.LedgerSubject(n, events.WriterUsage),
		log: r.log.With("partition", n), dedup: newDedup(),
	}
	r.metrics.stopped.WithLabelValues(label(n)).Set(0)
	wait := retryMin
	for {
		before := p.fence
		err := p.session(ctx)
		var corrupt *corruptError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &corrupt):
			p.report(Stopped, err)
			r.metrics.stopped.WithLabelValues(label(n)).Set(1)
			p.log.Error("partition is stopped", "err", err)
			return err
		}
		if p.fence != before {
			wait = retryMin // it came on
		}
		p.report(Retrying, err)
		p.retrying(err)
		if pause.For(ctx, wait) != nil {
			return nil
		}
		wait = min(2*wait, retryMax)
	}
}

// retrying counts and logs why a session ended.
func (p *partition) retrying(err error) {
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

func (p *partition) report(state State, err error) {
	p.setStatus(Status{Partition: p.number, State: state, Through: p.position, Known: p.dedup.len(), Err: err})
	p.metrics.known.WithLabelValues(label(p.number)).Set(float64(p.dedup.len()))
}

// session takes up what the ledger says and rates from there, until something
// goes wrong.
func (p *partition) session(ctx context.Context) error {
	reconnected := p.js.Conn().StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer p.js.Conn().RemoveStatusListener(reconnected)
	if err := p.resume(ctx); err != nil {
		return err
	}
	if err := p.verifyPosition(ctx); err != nil {
		return err
	}
	reader, err := stream.Read(ctx, p.usage, p.position.Sequence,
		events.StoredUsageSubject(p.number, "*"), events.BatchSubject(p.number))
	if err != nil {
		return err
	}
	defer reader.Close()
	p.report(Rating, nil)
	p.log.Info("rating", "through", p.position.Sequence, "known", p.dedup.len())
	return p.pump(ctx, reader.Messages(), reconnected)
}

// written is the outcome of writing a chunk.
type written struct {
	chunk    *chunk
	sequence uint64
	err      error
}

// pump rates messages. While one chunk is being written the next one fills, so
// that chunks grow with the load and nothing waits for more to come.
func (p *partition) pump(ctx context.Context, messages <-chan stream.Message, reconnected <-chan nats.Status) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan written, 1)
	f := &filler{partition: p, chunk: &chunk{}}
	var writing *chunk
	defer func() {
		cancel()
		p.dedup.remove(f.chunk.keys)
		if writing != nil {
			<-results
			p.dedup.remove(writing.keys)
		}
	}()
	for {
		if err := f.fill(ctx, messages); err != nil {
			return err
		}
		if writing == nil && !f.chunk.empty() {
			writing, f.chunk = f.chunk, &chunk{}
			go p.write(ctx, writing, results)
			continue
		}
		next := messages
		if f.chunk.full() {
			next = nil
		}
		select {
		case m := <-next:
			f.take(m)
		case w := <-results:
			if w.err != nil {
				results <- w // the deferred function forgets it
				return w.err
			}
			writing = nil
			p.commit(w)
		case <-reconnected:
			return errReconnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *partition) write(ctx context.Context, c *chunk, results chan<- written) {
	sequence, err := c.write(ctx, p.js, p.number, p.fence)
	results <- written{chunk: c, sequence: sequence, err: err}
}

// commit moves on behind a chunk that is in the ledger.
func (p *partition) commit(w written) {
	p.fence, p.position = w.sequence, w.chunk.span.Through
	p.metrics.settled(w.chunk)
	p.report(Rating, nil)
}

// corruptError says that a stream holds what the rater cannot have left there.
// Going on would risk a wrong charge, so the partition stops.
type corruptError struct {
	stream   string
	sequence uint64
	reason   string
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("message %d of stream %s: %s", e.sequence, e.stream, e.reason)
}
