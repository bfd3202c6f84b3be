// Package emit publishes usage events to a Drawdown installation over NATS.
//
// Events of one partition travel together: an event is sent at once while fewer
// than InFlight messages of its partition await their acknowledgement, and
// otherwise joins the next message. So there is no lingering when little is
// sent, and full messages when much is.
//
// An event is acknowledged only when the USAGE stream has stored it. Until then
// it is published again after every failure that may pass, up to its deadline.
// That is safe because a usage event counts once, by its source and id. An
// event is never dropped without its error being reported, memory is bounded,
// and a full Emitter makes Emit wait. Events may be stored in another order
// than they were emitted in.
package emit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

// MetadataPartitions is the key of the USAGE stream's metadata that holds the
// number of partitions.
const MetadataPartitions = "drawdown_partitions"

// Errors of emitting.
var (
	// ErrClosed is what Emit returns once the Emitter is being closed.
	ErrClosed = errors.New("emitter is closed")
	// ErrUnacknowledged marks an event that was not acknowledged in time. It
	// may be stored all the same; emitting it again is safe.
	ErrUnacknowledged = errors.New("event was not acknowledged in time")
)

// Options configure an Emitter. The zero value of a field means its default.
type Options struct {
	// Partitions is the installation's number of partitions. By default it is
	// read from the USAGE stream's metadata.
	Partitions int
	// MaxPending bounds the events that await their acknowledgement, 65536 by
	// default, and MaxPendingBytes their encoded size, 64 MiB by default. At
	// either bound Emit waits.
	MaxPending      int
	MaxPendingBytes int
	// MaxBatchEvents and MaxBatchBytes bound one message: by default 500
	// events and 256 KiB; at most events.MaxBatchEvents and MaxBatchBytes.
	MaxBatchEvents int
	MaxBatchBytes  int
	// InFlight is how many messages of one partition may await their
	// acknowledgement, 2 by default.
	InFlight int
	// Timeout is how long an event is tried for, 30 s by default, unless the
	// context of Emit has an earlier deadline.
	Timeout time.Duration
	// AckTimeout is how long a message's acknowledgement is awaited before it
	// is published again, 5 s by default.
	AckTimeout time.Duration
}

// defaults fills in and bounds o.
func (o *Options) defaults() error {
	for _, field := range []struct {
		name           string
		value          *int
		otherwise, max int
	}{
		{"MaxPending", &o.MaxPending, 1 << 16, 1 << 30},
		{"MaxPendingBytes", &o.MaxPendingBytes, 64 << 20, 1 << 40},
		{"MaxBatchEvents", &o.MaxBatchEvents, 500, events.MaxBatchEvents},
		{"MaxBatchBytes", &o.MaxBatchBytes, 256 << 10, events.MaxBatchBytes},
		{"InFlight", &o.InFlight, 2, 1 << 10},
	} {
		if *field.value == 0 {
			*field.value = field.otherwise
		}
		if *field.value < 1 || *field.value > field.max {
			return fmt.Errorf("%s is %d, expected 1 to %d: %w", field.name, *field.value, field.max, events.ErrInvalid)
		}
	}
	o.MaxPendingBytes = max(o.MaxPendingBytes, events.MaxEventBytes) // one event always fits
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 5 * time.Second
	}
	if o.Timeout < 0 || o.AckTimeout < 0 || o.Partitions < 0 {
		return fmt.Errorf("a timeout or the number of partitions is negative: %w", events.ErrInvalid)
	}
	return nil
}

// Emitter publishes usage events. Its methods may be called from many
// goroutines. It owns no connection.
type Emitter struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	opts       Options
	gate       *gate
	partitions []*partition

	stopped context.Context // cancelled when Close gives up
	stop    context.CancelFunc
	senders sync.WaitGroup

	mu     sync.RWMutex // held for reading while an event is queued
	closed bool
}

// New returns an Emitter over nc, which stays the caller's and should reconnect
// for ever (nats.MaxReconnects(-1)). Without Options.Partitions it asks the
// server, and fails when the USAGE stream is not there or does not say.
func New(nc *nats.Conn, opts Options) (*Emitter, error) {
	if err := opts.defaults(); err != nil {
		return nil, fmt.Errorf("read emit options: %w", err)
	}
	if opts.Partitions == 0 {
		var err error
		if opts.Partitions, err = readPartitions(nc); err != nil {
			return nil, err
		}
	}
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(opts.Partitions*opts.InFlight+1),
		jetstream.WithPublishAsyncTimeout(opts.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	e := &Emitter{nc: nc, js: js, opts: opts, gate: newGate(opts.MaxPending, opts.MaxPendingBytes)}
	e.stopped, e.stop = context.WithCancel(context.Background())
	for i := range opts.Partitions {
		e.partitions = append(e.partitions, &partition{subject: events.BatchSubject(i)})
	}
	return e, nil
}

// readPartitions asks the USAGE stream how many partitions there are.
func readPartitions(nc *nats.Conn) (int, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("open jetstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, events.StreamUsage)
	if err != nil {
		return 0, fmt.Errorf("read stream %s: %w", events.StreamUsage, err)
	}
	text := stream.CachedInfo().Config.Metadata[MetadataPartitions]
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("metadata %s of stream %s is %q, expected the number of partitions", MetadataPartitions, events.StreamUsage, text)
	}
	return n, nil
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
	if p.add(item{raw: raw, receipt: receipt, deadline: deadline}, e.opts.InFlight) {
		e.senders.Add(1)
		go e.send(p)
	}
	return receipt, nil
}

// EmitWait emits u and waits until the stream has stored it. After an error
// other than events.ErrInvalid and ErrClosed the event may be stored all the
// same; emitting it again is safe.
func (e *Emitter) EmitWait(ctx context.Context, u events.Usage) error {
	receipt, err := e.Emit(ctx, u)
	if err != nil {
		return err
	}
	return receipt.Wait(ctx)
}

// EmitBatch emits usages and waits until each is stored or refused. The result
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

// Flush waits until every event emitted before it is acknowledged or has
// failed; later ones wait for it. Its error is that of ctx.
func (e *Emitter) Flush(ctx context.Context) error {
	if err := e.gate.acquire(ctx, e.opts.MaxPending, e.opts.MaxPendingBytes); err != nil {
		return fmt.Errorf("flush usage events: %w", err)
	}
	e.gate.release(e.opts.MaxPending, e.opts.MaxPendingBytes)
	return nil
}

// Close refuses further events, flushes the queued ones and stops. When ctx
// ends first, what is still queued fails with ErrUnacknowledged and Close
// returns the error of ctx. Closing again does nothing.
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
	e.senders.Wait()
	e.js.CleanupPublisher()
	return err
}
