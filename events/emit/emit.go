// Package emit publishes usage events to a Drawdown installation over NATS.
//
// Events of one partition travel together: an event is sent at once while fewer
// than InFlight messages of its partition await their acknowledgement, and
// otherwise joins the next message. So there is no lingering when little is
// sent, and full messages when much is.
//
// An event is acknowledged only when it is kept: the USAGE stream has stored it,
// or the spool has synced it to this machine's disk. An event is never dropped
// without its error being reported, memory is bounded, and a full Emitter makes
// Emit wait.
//
// # Without a spool
//
// An event is published again after every failure that may pass, up to its
// deadline, and then fails with ErrUnacknowledged. Events that met a failure may
// be stored in another order than they were emitted in.
//
// # With a spool
//
// An event that is not acknowledged goes to the spool instead: at once while the
// server is not reached or the stream refuses, after AckTimeout when there is no
// answer, and at its deadline. Its Receipt then says nil, and Spooled. What the
// spool holds is delivered whenever the stream takes it, by this process or by
// the next one that opens the folder, and leaves the spool only when the stream
// has acknowledged it. Use a connection that never gives up, also at the start:
//
//	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
//	emitter, err := emit.New(nc, emit.Options{Spool: emit.Spool{Dir: "/var/lib/chat/usage"}})
//
// While the spool holds events of a partition, later ones of it go behind those,
// so an account's events keep their order across an outage. Only messages in
// flight at the moment of a failure may change places: those before and after
// keep theirs, and with InFlight 1 all do.
//
// A crash, and a failure whose outcome is unknown, may deliver events again. That
// is safe: a usage event counts once by its source and id, within the
// installation's dedup horizon. An event that is delivered later than that is
// still sent, and kept by the rater as a dead letter, too late.
//
// When the spool is full, or the disk fails, events wait in memory, where each
// may still fail at its deadline with the reason, and Emit waits once MaxPending
// of them do. Nothing that was reported as kept is given up for it. Stats says
// how full the spool is, and why it takes or delivers nothing.
//
// Flush waits until all is stored or spooled, Delivered until the spool is empty
// too. Close spools what cannot be stored any more and leaves the spool for the
// next process. A process that is killed loses only events that were never
// reported as kept.
package emit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// Errors of emitting.
var (
	// ErrClosed is what Emit returns once the Emitter is being closed.
	ErrClosed = errors.New("emitter is closed")
	// ErrUnacknowledged marks an event that was not acknowledged in time. It
	// may be stored all the same; emitting it again is safe.
	ErrUnacknowledged = errors.New("event was not acknowledged in time")
)

// Emitter publishes usage events. Its methods may be called from many
// goroutines. It owns no connection.
type Emitter struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	opts       Options
	gate       *gate
	partitions []*partition
	spooler    *spooler // nil without a spool, as is the drainer
	drainer    *drainer

	stopped context.Context // cancelled when Close gives up
	stop    context.CancelFunc
	senders sync.WaitGroup

	mu     sync.RWMutex // held for reading while an event is queued
	closed bool
}

// New returns an Emitter over nc, which stays the caller's and should reconnect
// for ever (nats.MaxReconnects(-1)). Without Options.Partitions it asks the
// server, and fails when the USAGE stream is not there or does not say; a spool
// that was used before remembers, so that only its first start needs the server.
//
// With Options.Spool its error is spool.ErrLocked while another process has the
// folder, spool.ErrFormat for a folder of another version of it, or
// ErrForeignSpool.
func New(nc *nats.Conn, opts Options) (*Emitter, error) {
	if err := opts.defaults(); err != nil {
		return nil, fmt.Errorf("read emit options: %w", err)
	}
	if opts.Spool.Dir == "" {
		return open(nc, opts, nil)
	}
	s, err := spool.Open(opts.Spool.Dir, opts.Spool.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	e, err := open(nc, opts, s)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return e, nil
}

// open returns an Emitter with or without a spool.
func open(nc *nats.Conn, opts Options, s *spool.Spool) (*Emitter, error) {
	found, err := findPartitions(nc, &opts, s)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(found.Partitions*(opts.InFlight+1)+1),
		jetstream.WithPublishAsyncTimeout(opts.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	e := &Emitter{nc: nc, js: js, opts: opts, gate: newGate(opts.MaxPending, opts.MaxPendingBytes)}
	e.stopped, e.stop = context.WithCancel(context.Background())
	for i := range found.Partitions {
		e.partitions = append(e.partitions, &partition{index: i, subject: events.BatchSubject(i)})
	}
	if s != nil {
		e.startSpool(s, found)
	}
	return e, nil
}

// startSpool puts s behind every partition.
func (e *Emitter) startSpool(s *spool.Spool, found usage) {
	e.spooler = newSpooler(s, e.settle, e.opts.Log)
	e.drainer = newDrainer(e, e.spooler, found.asked)
	left := s.Counts()
	for i, p := range e.partitions {
		p.spooler, p.kept = e.spooler, left[i]
		// Without a connection nobody has seen the stream yet: nothing goes to
		// it before the drainer has.
		p.failing = e.nc.Status() != nats.CONNECTED
	}
	if stats := s.Stats(); stats.Events > 0 || stats.Damaged > 0 {
		e.opts.Log.Info("spool opened with events of an earlier process", "events", stats.Events, "bytes", stats.Bytes,
			"oldest", stats.Oldest, "damaged_bytes", stats.Damaged)
	}
	go e.spooler.run()
	go e.drainer.run()
}

// Emit queues u and returns its Receipt. It waits while the Emitter is full,
// until ctx ends. Its error is events.ErrInvalid (a *events.Problem) for an
// event that can never be accepted, ErrClosed, or that of ctx; u is then not
// queued. A deadline of ctx is also the event's own; cancelling ctx later does
// not call the event back.
func (e *Emitter) Emit(ctx context.Context, u events.Usage) (*Receipt, error) {
	raw, err := events.AppendStructured(nil, u)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(e.opts.Timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	if err := e.gate.acquire(ctx, 1, len(raw)); err != nil {
		return nil, err
	}
	receipt := &Receipt{done: make(chan struct{})}
	p := e.partitions[events.Partition(u.Account, len(e.partitions))]

	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		e.gate.release(1, len(raw))
		return nil, ErrClosed
	}
	if p.add(item{raw: raw, receipt: receipt, deadline: deadline, time: u.Time}, e.opts.InFlight) {
		e.senders.Add(1)
		go e.send(p)
	}
	return receipt, nil
}

// EmitWait emits u and waits until it is stored or spooled. After an error
// other than events.ErrInvalid and ErrClosed the event may be stored all the
// same; emitting it again is safe.
func (e *Emitter) EmitWait(ctx context.Context, u events.Usage) error {
	receipt, err := e.Emit(ctx, u)
	if err != nil {
		return err
	}
	return receipt.Wait(ctx)
}

// EmitBatch emits usages and waits until each is stored, spooled or refused. The result
// holds, for each in order, what EmitWait would return.
func (e *Emitter) EmitBatch(ctx context.Context, usages []events.Usage) []error {
	receipts, errs := make([]*Receipt, len(usages)), make([]error, len(usages))
	for i, u := range usages {
		receipts[i], errs[i] = e.Emit(ctx, u)
	}
	for i, receipt := range receipts {
		if errs[i] == nil {
			errs[i] = receipt.Wait(ctx)
		}
	}
	return errs
}

// Flush waits until every event emitted before it is stored, spooled or has
// failed; later ones wait for it. Its error is that of ctx.
func (e *Emitter) Flush(ctx context.Context) error {
	if err := e.gate.acquire(ctx, e.opts.MaxPending, e.opts.MaxPendingBytes); err != nil {
		return fmt.Errorf("flush usage events: %w", err)
	}
	e.gate.release(e.opts.MaxPending, e.opts.MaxPendingBytes)
	return nil
}

// Delivered is Flush, and then waits until the spool is empty. Its error is that
// of ctx, or ErrClosed.
func (e *Emitter) Delivered(ctx context.Context) error {
	if err := e.Flush(ctx); err != nil || e.drainer == nil {
		return err
	}
	if err := e.drainer.await(ctx); err != nil {
		return fmt.Errorf("deliver the spool: %w", err)
	}
	return nil
}

// Close refuses further events, flushes the queued ones and stops. When ctx ends
// first, what is still queued is spooled, and what cannot be fails with
// ErrUnacknowledged; Close then returns an error. What is in the spool stays
// there for the next process. Closing again does nothing.
func (e *Emitter) Close(ctx context.Context) error {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if again {
		return nil
	}
	err := e.Flush(ctx)
	e.stop()
	if e.drainer != nil {
		<-e.drainer.done // it starts senders too
	}
	e.senders.Wait()
	if e.spooler != nil {
		for _, p := range e.partitions {
			p.abandon()
		}
		err = e.spooler.finish()
	}
	e.js.CleanupPublisher()
	return err
}
