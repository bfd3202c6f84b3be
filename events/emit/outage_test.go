package emit_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// outage is a server that a test starts and stops at will, always at the same
// address and with the same data.
type outage struct {
	tb    testing.TB
	dir   string
	port  int
	adapt func(*server.Options)
	srv   *server.Server
}

// newOutage reserves an address at which no server runs yet.
func newOutage(tb testing.TB) *outage {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return &outage{tb: tb, dir: tb.TempDir(), port: listener.Addr().(*net.TCPAddr).Port}
}

func (o *outage) url() string { return "nats://127.0.0.1:" + strconv.Itoa(o.port) }

func (o *outage) end() {
	o.tb.Helper()
	o.srv = startServer(o.tb, func(opts *server.Options) {
		opts.StoreDir, opts.Port = o.dir, o.port
		if o.adapt != nil {
			o.adapt(opts)
		}
	})
}

func (o *outage) begin() { stopServer(o.srv) }

// endWithUsage ends an outage that was from the start.
func (o *outage) endWithUsage(adapt func(*jetstream.StreamConfig)) {
	o.tb.Helper()
	o.end()
	createUsage(o.tb, connect(o.tb, o.srv), adapt)
}

// spooled are options with a spool in a new folder.
func spooled(tb testing.TB) emit.Options {
	return emit.Options{
		Partitions: partitions, InFlight: 1, Timeout: 10 * time.Minute, AckTimeout: 10 * time.Second,
		Spool: emit.Spool{Dir: tb.TempDir()}, Log: slog.New(slog.DiscardHandler),
	}
}

// said is a log whose messages a test can wait for.
type said struct {
	slog.Handler
	messages chan string
}

func listen(o *emit.Options) said {
	s := said{slog.DiscardHandler, make(chan string, 1000)}
	o.Log = slog.New(s)
	return s
}

func (s said) Enabled(context.Context, slog.Level) bool { return true }

func (s said) Handle(_ context.Context, r slog.Record) error {
	s.messages <- r.Message
	return nil
}

// await waits until want was logged.
func (s said) await(t *testing.T, want string) {
	t.Helper()
	for {
		select {
		case got := <-s.messages:
			if got == want {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%q was not logged", want)
		}
	}
}

func emitOne(t *testing.T, e *emit.Emitter, u events.Usage) *emit.Receipt {
	t.Helper()
	receipt, err := e.Emit(t.Context(), u)
	if err != nil {
		t.Fatalf("emit %s: %v", u.ID, err)
	}
	return receipt
}

// keepOne emits the n-th event and expects it kept, spooled or not.
func keepOne(t *testing.T, e *emit.Emitter, n int, wantSpooled bool) {
	t.Helper()
	receipt := emitOne(t, e, usage(n))
	if err := receipt.Wait(t.Context()); err != nil || receipt.Spooled() != wantSpooled {
		t.Fatalf("event %d: %v, spooled %v, want it kept and spooled %v", n, err, receipt.Spooled(), wantSpooled)
	}
}

func deliver(t *testing.T, e *emit.Emitter) {
	t.Helper()
	if err := e.Delivered(t.Context()); err != nil {
		t.Fatalf("deliver: %v", err)
	}
	if stats := e.Stats(); stats.Spool.Events != 0 || stats.Spool.Undelivered != nil || stats.Pending != 0 {
		t.Errorf("stats of a delivered spool: %+v", stats)
	}
}

func closeEmitter(t *testing.T, e *emit.Emitter) {
	t.Helper()
	if err := e.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// checkStored expects the events from 0 to n in the stream, each at least once,
// and no others. Of each account they must come in the order of their number;
// what is there again does not count.
func checkStored(t *testing.T, url string, n int) {
	t.Helper()
	seen, last := make(map[string]bool), make(map[string]int)
	for _, u := range storedEvents(t, connectTo(t, url)) {
		if seen[u.ID] {
			continue
		}
		seen[u.ID] = true
		number, err := strconv.Atoi(u.ID)
		if err != nil || number < 0 || number >= n {
			t.Fatalf("event %q was never emitted", u.ID)
		}
		if before, ok := last[u.Account]; ok && before > number {
			t.Errorf("account %s: event %d comes after event %d", u.Account, number, before)
		}
		last[u.Account] = number
	}
	if len(seen) != n {
		t.Errorf("the stream holds %d of %d events", len(seen), n)
	}
}

func TestEventsOfAnOutageAreSpooledAndDeliveredInOrder(t *testing.T) {
	o := newOutage(t)
	o.endWithUsage(nil)
	e := newEmitter(t, connectTo(t, o.url()), spooled(t))
	for n := range 100 {
		keepOne(t, e, n, false)
	}
	o.begin()
	var receipts []*emit.Receipt
	for n := 100; n < 1000; n++ {
		receipts = append(receipts, emitOne(t, e, usage(n)))
	}
	for _, receipt := range receipts {
		if err := receipt.Wait(t.Context()); err != nil || !receipt.Spooled() {
			t.Fatalf("%v, spooled %v", err, receipt.Spooled())
		}
	}
	if got := e.Stats().Spool; got.Events != 900 || got.Bytes < 900*100 || got.Oldest.IsZero() || got.Spooled != 900 || got.Refusing != nil {
		t.Errorf("stats in the outage: %+v", got)
	}
	o.end()
	for n := 1000; n < 1500; n++ { // behind those
		emitOne(t, e, usage(n))
	}
	deliver(t, e)
	keepOne(t, e, 1500, false)
	checkStored(t, o.url(), 1501)
	if got := e.Stats().Spool; got.Delivered != got.Spooled || got.Late != 1500 && got.Late != 0 {
		t.Errorf("stats after the outage: %+v", got)
	}
}

func TestAFirstStartWithoutAServerSpoolsWhenToldThePartitions(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	nc := connectTo(t, o.url())
	opts.Partitions = 0
	if _, err := emit.New(nc, opts); err == nil || !strings.Contains(err.Error(), "set Options.Partitions") {
		t.Fatalf("open without server and partitions: %v", err)
	}
	opts.Partitions = partitions
	e := newEmitter(t, nc, opts)
	for n := range 200 {
		keepOne(t, e, n, true)
	}
	o.endWithUsage(nil)
	deliver(t, e)
	keepOne(t, e, 200, false)
	checkStored(t, o.url(), 201)
}

func TestAStartWithoutAServerRemembersThePartitions(t *testing.T) {
	o := newOutage(t)
	o.endWithUsage(nil)
	opts := spooled(t)
	opts.Partitions = 0
	closeEmitter(t, newEmitter(t, connectTo(t, o.url()), opts))
	o.begin()
	for n := range 50 { // one event a process
		e := newEmitter(t, connectTo(t, o.url()), opts)
		keepOne(t, e, n, true)
		closeEmitter(t, e)
	}
	o.end()
	e := newEmitter(t, connectTo(t, o.url()), opts)
	deliver(t, e)
	checkStored(t, o.url(), 50)
}

func TestSeveralGoroutinesKeepTheOrderOfTheirAccountAcrossOutages(t *testing.T) {
	o := newOutage(t)
	o.endWithUsage(nil)
	e := newEmitter(t, connectTo(t, o.url()), spooled(t))
	const goroutines, each, outages = 8, 400, 3
	var group sync.WaitGroup
	turns := make(chan struct{}) // an outage begins or ends in the midst of them
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				if g == 0 && i > 0 && i%(each/(2*outages+1)) == 0 {
					turns <- struct{}{}
				}
				receipt, err := e.Emit(t.Context(), accountUsage(i*goroutines+g, "acct_"+strconv.Itoa(g)))
				if err == nil && i%7 == 0 {
					err = receipt.Wait(t.Context())
				}
				if err != nil {
					t.Errorf("event %d of account %d: %v", i, g, err)
				}
			}
		})
	}
	for range outages {
		<-turns
		o.begin()
		<-turns
		o.end()
	}
	<-turns
	group.Wait()
	deliver(t, e)
	checkStored(t, o.url(), goroutines*each)
}

func TestAStreamThatRefusesIsAnOutageToo(t *testing.T) {
	o := newOutage(t)
	o.endWithUsage(func(c *jetstream.StreamConfig) { c.MaxMsgs = 1 })
	nc := connectTo(t, o.url())
	e := newEmitter(t, nc, spooled(t))
	keepOne(t, e, 0, false)
	for n := 1; n < 100; n++ {
		keepOne(t, e, n, true)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), events.StreamUsage)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = -1
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	deliver(t, e)
	checkStored(t, o.url(), 100)
}

func TestWhatTheServerWillNeverTakeIsSetAside(t *testing.T) {
	o := newOutage(t)
	o.adapt = func(opts *server.Options) { opts.MaxPayload = 4096 }
	opts := spooled(t)
	e := newEmitter(t, connectTo(t, o.url()), opts)
	if err := e.EmitWait(t.Context(), large(1000)); err != nil { // the server's bound is not known yet
		t.Fatal(err)
	}
	for n := range 100 {
		keepOne(t, e, n, true)
	}
	o.endWithUsage(nil)
	deliver(t, e)
	checkStored(t, o.url(), 100)
	if got := e.Stats().Spool; got.Refused != 1 || got.Delivered != 100 {
		t.Errorf("stats %+v", got)
	}
	aside, err := os.ReadFile(filepath.Join(opts.Spool.Dir, "refused.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if item := events.DecodeEvent(aside); item.Err != nil || item.Usage.ID != "1000" {
		t.Errorf("set aside: %v (%v)", item.Usage.ID, item.Err)
	}
}

func TestEventsOlderThanTheHorizonAreSentAndCounted(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	opts.Spool.Horizon = time.Hour
	said := listen(&opts)
	e := newEmitter(t, connectTo(t, o.url()), opts)
	for n, age := range []time.Duration{2 * time.Hour, 61 * time.Minute, time.Minute} {
		u := usage(n)
		u.Time = time.Now().Add(-age)
		if err := e.EmitWait(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	o.endWithUsage(nil)
	deliver(t, e)
	said.await(t, "spooled events are older than the dedup horizon: they are sent, to be dead-lettered as too late")
	if got := e.Stats().Spool; got.Late != 2 || got.Delivered != 3 {
		t.Errorf("stats %+v", got)
	}
	checkStored(t, o.url(), 3)
}

func TestASpoolIsNotDeliveredToAnotherInstallation(t *testing.T) {
	id := func(id string) func(*jetstream.StreamConfig) {
		return func(c *jetstream.StreamConfig) { c.Metadata[emit.MetadataInstallation] = id }
	}
	mine, other := newOutage(t), newOutage(t)
	mine.endWithUsage(id("mine"))
	opts := spooled(t)
	opts.Partitions = 0
	closeEmitter(t, newEmitter(t, connectTo(t, mine.url()), opts))
	mine.begin()
	e := newEmitter(t, connectTo(t, mine.url()), opts)
	keepOne(t, e, 0, true)
	closeEmitter(t, e)

	said := listen(&opts)
	late := newEmitter(t, connectTo(t, other.url()), opts) // it turns out to be another
	other.endWithUsage(id("other"))
	for !errors.Is(late.Stats().Spool.Undelivered, emit.ErrForeignSpool) {
		said.await(t, "spool is not delivered")
	}
	keepOne(t, late, 1, true)
	closeEmitter(t, late)
	if _, err := emit.New(connectTo(t, other.url()), opts); !errors.Is(err, emit.ErrForeignSpool) {
		t.Errorf("open: %v, want %v", err, emit.ErrForeignSpool)
	}
	checkStored(t, other.url(), 0)

	mine.end()
	e = newEmitter(t, connectTo(t, mine.url()), opts)
	deliver(t, e)
	checkStored(t, mine.url(), 2)
	closeEmitter(t, e)
	closeEmitter(t, newEmitter(t, connectTo(t, other.url()), opts)) // an empty spool may move
}

func TestNewRefusesASpool(t *testing.T) {
	nc := connectTo(t, newOutage(t).url())
	used := spooled(t)
	newEmitter(t, nc, used)
	foreign := spooled(t)
	if err := os.WriteFile(filepath.Join(foreign.Spool.Dir, "spool.json"), []byte(`{"format":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	repartitioned := spooled(t)
	e := newEmitter(t, nc, repartitioned)
	keepOne(t, e, 1, true)
	closeEmitter(t, e)
	repartitioned.Partitions++
	tiny := spooled(t)
	tiny.Spool.MaxBytes = 1
	tests := map[string]struct {
		opts emit.Options
		want error
	}{
		"that is in use":                     {used, spool.ErrLocked},
		"of another format":                  {foreign, spool.ErrFormat},
		"of another number of partitions":    {repartitioned, emit.ErrForeignSpool},
		"that is too small to hold anything": {tiny, events.ErrInvalid},
	}
	for name, test := range tests {
		if _, err := emit.New(nc, test.opts); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestATornEndOfTheSpoolCostsOnlyWhatWasTorn(t *testing.T) {
	for name, tear := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)-3] },
		"flipped": func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t)
			opts := spooled(t)
			e := newEmitter(t, connectTo(t, o.url()), opts)
			for n := range 21 {
				keepOne(t, e, n, true)
			}
			closeEmitter(t, e)
			path := filepath.Join(opts.Spool.Dir, "0000000000000001.segment")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tear(data), 0o600); err != nil {
				t.Fatal(err)
			}
			o.endWithUsage(nil)
			e = newEmitter(t, connectTo(t, o.url()), opts)
			deliver(t, e)
			checkStored(t, o.url(), 20)
			if e.Stats().Spool.Damaged == 0 {
				t.Error("the torn bytes are not counted")
			}
		})
	}
}
