package emit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events/emit"
)

// These tests play the stream, so that they decide when it answers.

func TestAnEventWithoutAnAnswerIsSpooled(t *testing.T) {
	tests := map[string]struct {
		ackTimeout, timeout, behind time.Duration
	}{
		"after AckTimeout":                        {ackTimeout: 50 * time.Millisecond, timeout: time.Hour, behind: time.Hour},
		"at its own deadline":                     {ackTimeout: time.Hour, timeout: 50 * time.Millisecond, behind: time.Hour},
		"at the deadline of one queued behind it": {ackTimeout: time.Hour, timeout: time.Hour, behind: 50 * time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nc := connect(t, startServer(t, nil))
			stream := play(t, nc)
			opts := spooled(t)
			opts.Partitions, opts.AckTimeout, opts.Timeout = 1, test.ackTimeout, test.timeout
			e := newEmitter(t, nc, opts)
			first := emitOne(t, e, usage(1))
			stream.next()
			ctx, cancel := context.WithTimeout(t.Context(), test.behind)
			defer cancel()
			behind, err := e.Emit(ctx, usage(2)) // queued
			if err != nil {
				t.Fatal(err)
			}
			for i, receipt := range []*emit.Receipt{first, behind} {
				if err := receipt.Wait(t.Context()); err != nil || !receipt.Spooled() {
					t.Errorf("event %d: %v, spooled %v", i, err, receipt.Spooled())
				}
			}
			var delivered []string
			for len(delivered) < 2 {
				msg, ids := stream.next()
				if !slices.Equal(delivered, ids) { // else sent again
					delivered = append(delivered, ids...)
				}
				stream.ack(msg)
			}
			if !slices.Equal(delivered, []string{"1", "2"}) {
				t.Errorf("delivered %v, want 1 and then 2", delivered)
			}
		})
	}
}

// nearlyDelivered brings a spool about so far that its last event, 2, is on its
// way to the stream, which has taken others of it before.
func nearlyDelivered(t *testing.T) (played, *nats.Conn, *emit.Emitter, *nats.Msg) {
	t.Helper()
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	opts := spooled(t)
	opts.Partitions = 1
	e := newEmitter(t, nc, opts)
	first := emitOne(t, e, usage(1))
	msg, _ := stream.next()
	stream.refuse(msg, 503, 10077)
	if err := first.Wait(t.Context()); err != nil || !first.Spooled() {
		t.Fatalf("%v, spooled %v", err, first.Spooled())
	}
	msg, _ = stream.next() // out of the spool
	keepOne(t, e, 2, true)
	stream.ack(msg)
	msg, ids := stream.next()
	if !slices.Equal(ids, []string{"2"}) {
		t.Fatalf("delivered %v, want 2", ids)
	}
	return stream, nc, e, msg
}

func TestEventsEmittedWhileTheSpoolIsNearlyDeliveredWaitForThatAndGoDirectly(t *testing.T) {
	stream, nc, e, msg := nearlyDelivered(t)
	third, fourth := emitOne(t, e, usage(3)), emitOne(t, e, usage(4))
	stream.quiet(nc)
	select {
	case <-third.Done():
		t.Fatal("an event was settled while one before it was not stored")
	default:
	}
	stream.ack(msg)
	msg, ids := stream.next()
	if !slices.Equal(ids, []string{"3", "4"}) {
		t.Errorf("then %v, want 3 and 4", ids)
	}
	stream.ack(msg)
	for _, receipt := range []*emit.Receipt{third, fourth} {
		if err := receipt.Wait(t.Context()); err != nil || receipt.Spooled() {
			t.Errorf("%v, spooled %v", err, receipt.Spooled())
		}
	}
}

func TestEventsThatWaitForTheSpoolAreSpooledWhenItsDeliveryFails(t *testing.T) {
	stream, _, e, msg := nearlyDelivered(t)
	third := emitOne(t, e, usage(3))
	stream.refuse(msg, 503, 10077)
	if err := third.Wait(t.Context()); err != nil || !third.Spooled() {
		t.Errorf("%v, spooled %v", err, third.Spooled())
	}
	var got []string
	for len(got) < 2 {
		msg, ids := stream.next()
		stream.ack(msg)
		got = append(got, ids...)
	}
	if !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("delivered %v", got)
	}
	deliver(t, e)
}

func TestEventsThatWaitForTheSpoolAreSpooledByClose(t *testing.T) {
	_, _, e, _ := nearlyDelivered(t)
	third := emitOne(t, e, usage(3))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := third.Wait(t.Context()); err != nil || !third.Spooled() {
		t.Errorf("%v, spooled %v", err, third.Spooled())
	}
}

func TestCloseThatMayNotWaitSpoolsWhatIsQueuedInOrder(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	opts := spooled(t)
	opts.Partitions, opts.MaxBatchEvents, opts.InFlight = 1, 2, 2
	e := newEmitter(t, nc, opts)
	var receipts []*emit.Receipt
	for n := range 10 {
		receipts = append(receipts, emitOne(t, e, usage(n)))
	}
	stream.next()
	stream.next()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatalf("close: %v", err)
	}
	for n, receipt := range receipts {
		if receipt.Err() != nil || !receipt.Spooled() {
			t.Errorf("event %d: %v, spooled %v", n, receipt.Err(), receipt.Spooled())
		}
	}
	if _, err := e.Emit(t.Context(), usage(1)); !errors.Is(err, emit.ErrClosed) {
		t.Errorf("emit after close: %v", err)
	}
	opts.MaxBatchEvents = 0
	e = newEmitter(t, nc, opts)
	msg, ids := stream.next()
	if want := "0123456789"; strings.Join(ids, "") != want {
		t.Errorf("the next process delivers %v, want %s", ids, want)
	}
	stream.ack(msg)
	deliver(t, e)
}

func TestAnEventLeavesTheSpoolOnlyWhenTheStreamHasIt(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	opts := spooled(t)
	opts.Partitions, opts.AckTimeout = 1, 50*time.Millisecond
	e := newEmitter(t, nc, opts)
	emitOne(t, e, usage(1))
	for range 3 {
		stream.next()
		if got := e.Stats().Spool.Delivered; got != 0 {
			t.Errorf("%d events delivered without an answer", got)
		}
	}
	closeEmitter(t, e)
	opts.AckTimeout = time.Minute
	e = newEmitter(t, nc, opts)
	for {
		msg, _ := stream.next()
		stream.ack(msg)
		if e.Stats().Spool.Events == 0 || len(stream.messages) == 0 {
			break
		}
	}
	deliver(t, e)
}

func TestAClosedConnectionLeavesEventsInTheSpool(t *testing.T) {
	o := newOutage(t)
	o.endWithUsage(nil)
	nc := connectTo(t, o.url())
	e := newEmitter(t, nc, spooled(t))
	nc.Close()
	keepOne(t, e, 1, true)
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Delivered(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deliver over a closed connection: %v", err)
	}
	if err := e.Stats().Spool.Undelivered; err == nil {
		t.Error("stats do not say why nothing is delivered")
	}
}
