package emit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	retryMin = 10 * time.Millisecond
	retryMax = 500 * time.Millisecond
	// deadlineGrain is how late a passed deadline may be noticed.
	deadlineGrain = 250 * time.Millisecond
	// headerBytes is room for the header beside a batch in one payload.
	headerBytes = 1024
)

var errDisconnected = errors.New("not connected to NATS")

// send is one sender of p: it publishes what is queued, a message at a time,
// until nothing is or it fails.
func (e *Emitter) send(p *partition) {
	defer e.senders.Done()
	for {
		d, ok := e.next(p)
		if !ok {
			return
		}
		if !d.deliver() {
			p.giveBack(d.batch)
			return
		}
	}
}

// start starts a sender of p when events wait that may be sent now: see resume.
func (e *Emitter) start(p *partition, recall bool) {
	if p.resume(recall) {
		e.senders.Add(1)
		go e.send(p)
	}
}

// next takes the next message of p and makes the first attempt to send it.
func (e *Emitter) next(p *partition) (*delivery, bool) {
	p.wire.Lock()
	defer p.wire.Unlock()
	b, ok := p.take(e.opts.MaxBatchEvents, e.messageMax())
	if !ok {
		return nil, false
	}
	d := &delivery{emitter: e, partition: p, batch: b}
	d.expire()
	d.publish()
	return d, true
}

// messageMax bounds the events of one message, in bytes.
func (e *Emitter) messageMax() int {
	if limit := e.nc.MaxPayload(); limit > headerBytes {
		return min(e.opts.MaxBatchBytes, int(limit)-headerBytes)
	}
	return e.opts.MaxBatchBytes // not told yet
}

// delivery is one message on its way to the stream.
type delivery struct {
	emitter   *Emitter
	partition *partition
	batch     batch // those not settled yet

	attempt jetstream.PubAckFuture
	failed  error // why there is no attempt
	last    error // why the last attempt failed
}

// deliver publishes until every event is settled: stored, refused or out of
// time. With a spool it makes no second attempt, and returns false when events
// are left for the spool.
func (d *delivery) deliver() bool {
	spooling := d.partition.spooler != nil
	wait := retryMin
	for ; len(d.batch.items) > 0; d.expire() {
		err := d.await()
		switch {
		case err == nil:
			d.settle(nil)
			return true
		case tooLarge(err) && len(d.batch.items) > 1:
			if !d.split() {
				return false
			}
			d.publish()
			continue
		case tooLarge(err), !spooling && permanent(err):
			d.settle(fmt.Errorf("publish usage event on %s: %w", d.partition.subject, err))
			return true
		case spooling:
			return false
		}
		d.last = err
		d.sleep(wait/2 + rand.N(wait))
		wait = min(2*wait, retryMax)
		d.publish()
	}
	return true
}

// split delivers the first half of the events, and leaves the other. It returns
// false when events of the first half are left for the spool.
func (d *delivery) split() bool {
	items := d.batch.items
	half := len(items) / 2
	first := &delivery{emitter: d.emitter, partition: d.partition, batch: batch{items: items[:half:half]}}
	first.publish()
	done := first.deliver()
	d.batch.items = append(first.batch.items, items[half:]...)
	return done
}

// publish starts an attempt.
func (d *delivery) publish() {
	if len(d.batch.items) > 0 {
		d.attempt, d.failed = d.emitter.publish(d.partition.subject, d.batch.items)
	}
}

// await waits for the attempt's acknowledgement. It returns nil only when the
// stream has acknowledged the message.
func (d *delivery) await() error {
	if d.failed != nil {
		return d.failed
	}
	stored, failed := d.attempt.Ok(), d.attempt.Err()
	for len(d.batch.items) > 0 {
		select {
		case <-stored:
			return nil
		case err := <-failed:
			return err
		case <-d.emitter.stopped.Done():
			return ErrUnacknowledged
		case <-time.After(deadlineGrain):
			if d.overdue() {
				return ErrUnacknowledged
			}
			d.expire()
		}
	}
	return ErrUnacknowledged
}

// publish sends items as one message, without awaiting what becomes of it.
func (e *Emitter) publish(subject string, items []item) (jetstream.PubAckFuture, error) {
	switch status := e.nc.Status(); status {
	case nats.CONNECTED:
	case nats.CLOSED, nats.DRAINING_SUBS, nats.DRAINING_PUBS:
		return nil, nats.ErrConnectionClosed
	default:
		return nil, errDisconnected // the connection would only buffer it
	}
	msg := &nats.Msg{
		Subject: subject,
		Header:  nats.Header{events.HeaderContentType: {events.ContentTypeBatch}},
		Data:    join(items),
	}
	return e.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
}

// join makes a JSON array of the items.
func join(items []item) []byte {
	size := len("[]")
	for _, it := range items {
		size += len(it.raw) + len(",")
	}
	body := append(make([]byte, 0, size), '[')
	for i, it := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.raw...)
	}
	return append(body, ']')
}

// overdue reports that with a spool an event goes there because its deadline has
// passed: one of this delivery, or one queued behind it.
func (d *delivery) overdue() bool {
	if d.partition.spooler == nil {
		return false
	}
	now := time.Now()
	return anyExpired(d.batch.items, now) || d.partition.overdue(now)
}

// expire settles the events whose deadline has passed, those still queued
// behind this delivery included, or all of them when the Emitter gives up. With
// a spool it does nothing: they go there.
func (d *delivery) expire() {
	if d.partition.spooler != nil {
		return
	}
	now := time.Now()
	var expired []item
	if d.emitter.stopped.Err() != nil {
		d.batch.items, expired = nil, d.batch.items
	} else {
		d.batch.items, expired = splitExpired(d.batch.items, now)
		expired = append(expired, d.partition.expire(now)...)
	}
	if len(expired) == 0 {
		return
	}
	err := ErrUnacknowledged
	if d.last != nil {
		err = fmt.Errorf("%w: %w", ErrUnacknowledged, d.last)
	}
	d.emitter.settle(expired, false, err)
}

// sleep waits before the next attempt, noticing deadlines and the end.
func (d *delivery) sleep(wait time.Duration) {
	for until := time.Now().Add(wait); wait > 0; wait = time.Until(until) {
		select {
		case <-time.After(min(wait, deadlineGrain)):
			d.expire()
		case <-d.emitter.stopped.Done():
			return
		}
	}
}

func (d *delivery) settle(err error) {
	d.emitter.settle(d.batch.items, false, err)
	d.batch.items = nil
}

// settle reports the outcome of items and makes room for others.
func (e *Emitter) settle(items []item, spooled bool, err error) {
	size := 0
	for _, it := range items {
		size += len(it.raw)
		it.receipt.settle(spooled, err)
	}
	e.gate.release(len(items), size)
}

// Error codes of JetStream.
const (
	codeMessageTooLarge = 10054 // message size exceeds maximum allowed
	codeStreamSealed    = 10109
)

// tooLarge reports that the server takes the events only in smaller messages.
func tooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || hasCode(err, codeMessageTooLarge)
}

// permanent reports that publishing the same message again can never succeed.
// What is not known to be so is tried again.
func permanent(err error) bool {
	return tooLarge(err) || hasCode(err, codeStreamSealed) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) ||
		errors.Is(err, ErrUnacknowledged) // the Emitter gave up
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
