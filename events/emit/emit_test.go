package emit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

func TestManyGoroutinesEmitEachEventOnce(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	createUsage(t, nc, nil)
	e := newEmitter(t, nc, emit.Options{MaxPending: 500, MaxBatchEvents: 50})
	const goroutines, each = 8, 500
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				if _, err := e.Emit(t.Context(), usage(g*each+i)); err != nil {
					t.Errorf("emit: %v", err)
				}
			}
		})
	}
	group.Wait()
	if err := e.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	counts := stored(t, nc)
	for n := range goroutines * each {
		if counts[strconv.Itoa(n)] != 1 {
			t.Fatalf("event %d is stored %d times, want once", n, counts[strconv.Itoa(n)])
		}
	}
}

func TestEventsEmittedWhileTheServerIsDownAreAcknowledgedOnceItIsBack(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, func(o *server.Options) { o.StoreDir = dir })
	port := first.Addr().(*net.TCPAddr).Port
	nc := connect(t, first)
	createUsage(t, nc, nil)
	e := newEmitter(t, nc, emit.Options{})
	var receipts []*emit.Receipt
	emitSome := func(from, to int) {
		for n := from; n < to; n++ {
			receipt, err := e.Emit(t.Context(), usage(n))
			if err != nil {
				t.Fatalf("emit: %v", err)
			}
			receipts = append(receipts, receipt)
		}
	}
	emitSome(0, 300)
	stopServer(first) // some of them are in flight
	emitSome(300, 600)
	startServer(t, func(o *server.Options) { o.StoreDir, o.Port = dir, port })
	emitSome(600, 700)
	for n, receipt := range receipts {
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
	}
	if counts := stored(t, nc); len(counts) != 700 {
		t.Errorf("the stream holds %d of 700 events", len(counts))
	}
}

func TestAnEventIsAcknowledgedOnlyByTheStream(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	e := newEmitter(t, nc, emit.Options{Partitions: 1})
	receipt, err := e.Emit(t.Context(), usage(1))
	if err != nil {
		t.Fatal(err)
	}
	msg, _ := stream.next()
	if got := msg.Header.Get("Content-Type"); got != events.ContentTypeBatch {
		t.Errorf("content type %q", got)
	}
	select {
	case <-receipt.Done():
		t.Fatalf("the event is settled (%v) before the stream has answered", receipt.Err())
	default:
	}
	stream.ack(msg)
	if err := receipt.Wait(t.Context()); err != nil {
		t.Errorf("wait: %v", err)
	}
}

func TestEventsGatherWhileMessagesAreInFlight(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	e := newEmitter(t, nc, emit.Options{Partitions: 1, InFlight: 1, MaxBatchEvents: 6})
	emitOne := func(n int) {
		if _, err := e.Emit(t.Context(), usage(n)); err != nil {
			t.Fatal(err)
		}
	}
	emitOne(0)
	msg, alone := stream.next()
	for n := 1; n <= 10; n++ {
		emitOne(n)
	}
	stream.quiet(nc)
	stream.ack(msg)
	msg, full := stream.next()
	stream.ack(msg)
	msg, rest := stream.next()
	stream.ack(msg)
	want := "[0] [1 2 3 4 5 6] [7 8 9 10]"
	if got := fmt.Sprint(alone, full, rest); got != want {
		t.Errorf("messages %s, want %s", got, want)
	}
}

func TestAFailureThatMayPassIsTriedAgain(t *testing.T) {
	tests := map[string]func(played, *nats.Msg){
		"when the stream is full":               func(p played, m *nats.Msg) { p.refuse(m, 503, 10077) },
		"when the account's storage is used up": func(p played, m *nats.Msg) { p.refuse(m, 400, 10002) },
		"when there is no answer in time":       func(played, *nats.Msg) {},
		"when the answer is not an ack":         func(p played, m *nats.Msg) { p.answer(m, "hello") },
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			nc := connect(t, startServer(t, nil))
			stream := play(t, nc)
			e := newEmitter(t, nc, emit.Options{Partitions: 1, AckTimeout: 100 * time.Millisecond})
			receipt, err := e.Emit(t.Context(), usage(1))
			if err != nil {
				t.Fatal(err)
			}
			first, ids := stream.next()
			fail(stream, first)
			second, again := stream.next()
			stream.ack(second)
			if err := receipt.Wait(t.Context()); err != nil {
				t.Errorf("wait: %v", err)
			}
			if !slices.Equal(ids, again) {
				t.Errorf("published %v, then %v", ids, again)
			}
		})
	}
}

func TestAFullStreamMakesEventsWaitUntilItHasRoomOrTheirTimeIsUp(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := createUsage(t, nc, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1 })
	e := newEmitter(t, nc, emit.Options{InFlight: 1})
	if err := e.EmitWait(t.Context(), usage(0)); err != nil {
		t.Fatal(err)
	}
	var refusal *jetstream.APIError
	for wait := 50 * time.Millisecond; refusal == nil; wait *= 2 { // until there was time for a refusal
		soon, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		late, err := e.Emit(soon, usage(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := late.Err(); !errors.Is(err, emit.ErrUnacknowledged) {
			t.Fatalf("an event whose time is up: %v", err)
		} else if errors.As(err, &refusal) && refusal.ErrorCode != 10077 {
			t.Errorf("an event whose time is up: %v", err)
		}
	}
	patient, err := e.Emit(t.Context(), usage(2))
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = -1
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := patient.Wait(t.Context()); err != nil {
		t.Errorf("an event that may wait: %v", err)
	}
}

func TestMemoryStaysBoundedInAnOutageWithoutASpool(t *testing.T) {
	nc := connectTo(t, newOutage(t).url())
	const most = 100
	e := newEmitter(t, nc, emit.Options{Partitions: partitions, MaxPending: most, Timeout: 20 * time.Millisecond})
	var receipts []*emit.Receipt
	for n := range 10 * most { // each waits until others have failed
		receipt, err := e.Emit(context.WithoutCancel(t.Context()), usage(n))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, receipt)
		if got := e.Stats().Pending; got > most {
			t.Fatalf("%d events are pending, want at most %d", got, most)
		}
	}
	for n, receipt := range receipts {
		if err := receipt.Err(); !errors.Is(err, emit.ErrUnacknowledged) {
			t.Errorf("event %d: %v", n, err)
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.Stats(); got != (emit.Stats{}) {
		t.Errorf("after the last has failed: %+v", got)
	}
}

func TestEventsWaitForAStreamThatDoesNotExistYet(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	e := newEmitter(t, nc, emit.Options{Partitions: partitions})
	receipt, err := e.Emit(t.Context(), usage(1))
	if err != nil {
		t.Fatal(err)
	}
	createUsage(t, nc, nil)
	if err := receipt.Wait(t.Context()); err != nil {
		t.Errorf("wait: %v", err)
	}
}

func TestAnEventThatIsNotAcknowledgedInTimeSaysSo(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	e := newEmitter(t, nc, emit.Options{Partitions: 1, InFlight: 1})
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	inFlight, err := e.Emit(soon, usage(1))
	if err != nil {
		t.Fatal(err)
	}
	stream.next()
	queued, err := e.Emit(soon, usage(2))
	if err != nil {
		t.Fatal(err)
	}
	for name, receipt := range map[string]*emit.Receipt{"in flight": inFlight, "queued": queued} {
		if err := receipt.Wait(t.Context()); !errors.Is(err, emit.ErrUnacknowledged) {
			t.Errorf("%s: %v, want %v", name, err, emit.ErrUnacknowledged)
		}
	}
}

func TestAnInvalidEventIsRefusedBeforeItIsQueued(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	createUsage(t, nc, nil)
	e := newEmitter(t, nc, emit.Options{})
	bad := usage(1)
	bad.Account = "no token"
	errs := e.EmitBatch(t.Context(), []events.Usage{usage(2), bad, usage(3)})
	var problem *events.Problem
	if errs[0] != nil || errs[2] != nil || !errors.As(errs[1], &problem) || problem.Path != "/subject" {
		t.Errorf("errors %v", errs)
	}
	if counts := stored(t, nc); len(counts) != 2 {
		t.Errorf("the stream holds %v", counts)
	}
}

func TestEmitWaitsWhileTheEmitterIsFull(t *testing.T) {
	for name, opts := range map[string]emit.Options{
		"of events": {Partitions: 1, MaxPending: 2},
		"of bytes":  {Partitions: 1, MaxPendingBytes: events.MaxEventBytes},
	} {
		t.Run(name, func(t *testing.T) {
			nc := connect(t, startServer(t, nil))
			stream := play(t, nc)
			e := newEmitter(t, nc, opts)
			large := usage(1)
			large.Data.Attributes = map[string]string{}
			for i := range 30 {
				large.Data.Attributes["a"+strconv.Itoa(i)] = strings.Repeat(`"`, 500)
			}
			first, err := e.Emit(t.Context(), large)
			if err != nil {
				t.Fatal(err)
			}
			msg, _ := stream.next()
			if _, err := e.Emit(t.Context(), large); err != nil {
				t.Fatal(err)
			}
			full, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := e.Emit(full, large); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("emit into a full emitter: %v", err)
			}
			stream.ack(msg)
			if err := first.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Emit(t.Context(), large); err != nil {
				t.Errorf("emit after room was made: %v", err)
			}
		})
	}
}

func TestAnEventLargerThanTheServerTakesIsRefusedAtOnce(t *testing.T) {
	large := usage(1)
	large.Data.Attributes = map[string]string{}
	for i := range 20 {
		large.Data.Attributes["a"+strconv.Itoa(i)] = strings.Repeat("x", 500)
	}
	batch := []events.Usage{large}
	for n := 2; n < 40; n++ {
		batch = append(batch, accountUsage(n, large.Account))
	}
	tests := map[string]struct {
		server func(*server.Options)
		stream func(*jetstream.StreamConfig)
	}{
		"by the server's payload bound": {server: func(o *server.Options) { o.MaxPayload = 4096 }},
		"by the stream's message bound": {stream: func(c *jetstream.StreamConfig) { c.MaxMsgSize = 2048 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nc := connect(t, startServer(t, test.server))
			createUsage(t, nc, test.stream)
			e := newEmitter(t, nc, emit.Options{InFlight: 1})
			errs := e.EmitBatch(t.Context(), batch)
			if errs[0] == nil || errors.Is(errs[0], emit.ErrUnacknowledged) {
				t.Errorf("the large event: %v, want it refused", errs[0])
			}
			if err := errors.Join(errs[1:]...); err != nil {
				t.Errorf("the small events beside it: %v", err)
			}
			if counts := stored(t, nc); len(counts) != len(batch)-1 {
				t.Errorf("the stream holds %d events, want %d", len(counts), len(batch)-1)
			}
		})
	}
}

func TestCloseStoresWhatIsQueuedAndThenRefuses(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	createUsage(t, nc, nil)
	e := newEmitter(t, nc, emit.Options{InFlight: 1})
	for n := range 1000 {
		if _, err := e.Emit(t.Context(), usage(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	if counts := stored(t, nc); len(counts) != 1000 {
		t.Errorf("the stream holds %d of 1000 events", len(counts))
	}
	if _, err := e.Emit(t.Context(), usage(1)); !errors.Is(err, emit.ErrClosed) {
		t.Errorf("emit after close: %v, want %v", err, emit.ErrClosed)
	}
}

func TestCloseThatMayNotWaitFailsWhatIsQueued(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	stream := play(t, nc)
	e := newEmitter(t, nc, emit.Options{Partitions: 1, InFlight: 1})
	var receipts []*emit.Receipt
	for n := range 3 {
		receipt, err := e.Emit(t.Context(), usage(n))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, receipt)
	}
	stream.next()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	for n, receipt := range receipts {
		if err := receipt.Err(); !errors.Is(err, emit.ErrUnacknowledged) {
			t.Errorf("event %d: %v", n, err)
		}
	}
}

func TestAClosedConnectionFailsEventsAtOnce(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	e := newEmitter(t, nc, emit.Options{Partitions: 1})
	nc.Close()
	if err := e.EmitWait(t.Context(), usage(1)); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("emit: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	nc := connect(t, startServer(t, nil))
	tests := map[string]emit.Options{
		"a stream that is not there":              {},
		"a negative number of events":             {Partitions: 1, MaxPending: -1},
		"more events in a batch than it may hold": {Partitions: 1, MaxBatchEvents: events.MaxBatchEvents + 1},
		"more bytes in a batch than it may hold":  {Partitions: 1, MaxBatchBytes: events.MaxBatchBytes + 1},
		"a negative timeout":                      {Partitions: 1, Timeout: -1},
	}
	for name, opts := range tests {
		if _, err := emit.New(nc, opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	createUsage(t, nc, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	if _, err := emit.New(nc, emit.Options{}); err == nil {
		t.Error("a stream that does not say its partitions: no error")
	}
}
