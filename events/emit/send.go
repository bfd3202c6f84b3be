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
// until nothing is.
func (e *Emitter) send(p *partition) {
	defer e.senders.Done()
	for {
		items := p.take(e.opts.MaxBatchEvents, min(e.opts.MaxBatchBytes, e.payloadMax()))
		if items == nil {
			return
		}
		e.deliver(p, items)
	}
}

func (e *Emitter) payloadMax() int {
	if limit := e.nc.MaxPayload(); limit > headerBytes {
		return int(limit) - headerBytes
	}
	return e.opts.MaxBatchBytes // not told yet
}

// deliver publishes items as one message until every one of them is settled:
// stored, refused or out of time.
func (e *Emitter) deliver(p *partition, items []item) {
	d := delivery{emitter: e, partition: p, items: items}
	wait := retryMin
	for d.expire(); len(d.items) > 0; d.expire() {
		err := d.publish()
		switch {
		case err == nil:
			d.settle(nil)
			return
		case tooLarge(err) && len(d.items) > 1:
			half := len(d.items) / 2
			e.deliver(p, d.items[:half:half])
			d.items = d.items[half:]
			continue
		case permanent(err):
			d.settle(fmt.Errorf("publish usage event on %s: %w", p.subject, err))
			return
		}
		d.last = err
		d.sleep(wait/2 + rand.N(wait))
		wait = min(2*wait, retryMax)
	}
}

// delivery is one message being published.
type delivery struct {
	emitter   *Emitter
	partition *partition
	items     []item
	last      error // why the last attempt failed
}

// publish makes one attempt and awaits its acknowledgement. It returns nil
// only when the stream has acknowledged the message.
func (d *delivery) publish() error {
	switch status := d.emitter.nc.Status(); status {
	case nats.CONNECTED:
	case nats.CLOSED, nats.DRAINING_SUBS, nats.DRAINING_PUBS:
		return nats.ErrConnectionClosed
	default:
		return errDisconnected // the connection would only buffer it
	}
	msg := &nats.Msg{
		Subject: d.partition.subject,
		Header:  nats.Header{events.HeaderContentType: {events.ContentTypeBatch}},
		Data:    join(d.items),
	}
	future, err := d.emitter.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return err
	}
	stored, failed := future.Ok(), future.Err()
	for len(d.items) > 0 {
		select {
		case <-stored:
			return nil
		case err := <-failed:
			return err
		case <-d.emitter.stopped.Done():
			return ErrUnacknowledged
		case <-time.After(deadlineGrain):
			d.expire()
		}
	}
	return ErrUnacknowledged
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

// expire settles the events whose deadline has passed, those still queued
// behind this delivery included, or all of them when the Emitter gives up.
func (d *delivery) expire() {
	now := time.Now()
	var expired []item
	if d.emitter.stopped.Err() != nil {
		d.items, expired = nil, d.items
	} else {
		d.items, expired = splitExpired(d.items, now)
		expired = append(expired, d.partition.expire(now)...)
	}
	if len(expired) == 0 {
		return
	}
	err := ErrUnacknowledged
	if d.last != nil {
		err = fmt.Errorf("%w: %w", ErrUnacknowledged, d.last)
	}
	d.emitter.settle(expired, err)
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
	d.emitter.settle(d.items, err)
	d.items = nil
}

// settle reports the outcome of items and makes room for others.
func (e *Emitter) settle(items []item, err error) {
	size := 0
	for _, it := range items {
		size += len(it.raw)
		it.receipt.settle(err)
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
