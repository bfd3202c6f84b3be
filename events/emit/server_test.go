package emit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

func TestMain(m *testing.M) {
	if os.Getenv(childSpool) != "" {
		runChild()
		return
	}
	goleak.VerifyTestMain(m)
}

const partitions = 4

// installation starts what the examples run against: a server with a USAGE
// stream, and a connection to it.
func installation() (nc *nats.Conn, stop func()) {
	var ends exampleTB
	srv := startServer(&ends, nil)
	nc = connect(&ends, srv)
	createUsage(&ends, nc, nil)
	return nc, ends.run
}

// exampleTB stands in for a testing.TB in examples, which have none.
type exampleTB struct {
	testing.TB
	ends []func()
}

func (e *exampleTB) Helper()                           {}
func (e *exampleTB) Cleanup(end func())                { e.ends = append(e.ends, end) }
func (e *exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (e *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "emit")
	if err != nil {
		panic(err)
	}
	e.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (e *exampleTB) run() {
	for _, end := range slices.Backward(e.ends) {
		end()
	}
}

// startServer runs a NATS server with file storage until the test ends.
func startServer(tb testing.TB, adapt func(*server.Options)) *server.Server {
	tb.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: tb.TempDir(), SyncAlways: true, MaxPayload: 8 << 20,
	}
	if adapt != nil {
		adapt(opts)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		tb.Fatalf("make server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		tb.Fatal("the server does not become ready")
	}
	tb.Cleanup(func() { stopServer(srv) })
	return srv
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// connect opens a connection that reconnects for ever, until the test ends.
func connect(tb testing.TB, srv *server.Server) *nats.Conn {
	tb.Helper()
	return connectTo(tb, srv.ClientURL())
}

// connectTo is connect to a server that need not be there yet.
func connectTo(tb testing.TB, url string) *nats.Conn {
	tb.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(0, 0), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// createUsage creates the USAGE stream of an installation.
func createUsage(tb testing.TB, nc *nats.Conn, adapt func(*jetstream.StreamConfig)) jetstream.Stream {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	config := jetstream.StreamConfig{
		Name: events.StreamUsage, Subjects: []string{"usage.*"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source: "usage.*", Destination: "usage.{{partition(" + strconv.Itoa(partitions) + ",1)}}.{{wildcard(1)}}",
		},
		Metadata: map[string]string{emit.MetadataPartitions: strconv.Itoa(partitions)},
	}
	for p := range partitions {
		config.Subjects = append(config.Subjects, events.BatchSubject(p))
	}
	if adapt != nil {
		adapt(&config)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := js.CreateStream(ctx, config)
	if err != nil {
		tb.Fatalf("create stream: %v", err)
	}
	return stream
}

// newEmitter opens an Emitter that is closed at the end of the test.
func newEmitter(tb testing.TB, nc *nats.Conn, opts emit.Options) *emit.Emitter {
	tb.Helper()
	e, err := emit.New(nc, opts)
	if err != nil {
		tb.Fatalf("open emitter: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Close(ctx) // ends at once: the tests that flush have done so
	})
	return e
}

// usage returns the n-th event, of one of many accounts.
func usage(n int) events.Usage {
	return accountUsage(n, "acct_"+strconv.Itoa(n%50))
}

func accountUsage(n int, account string) events.Usage {
	return events.Usage{
		Source: "/test", ID: strconv.Itoa(n), Account: account, Time: time.Date(2026, 12, 1, 0, 0, n%60, 0, time.UTC),
		Data: events.UsageData{Operation: "GET /v1/thing", Status: 200},
	}
}

// stored reads the whole stream: how often each event id is in it.
func stored(tb testing.TB, nc *nats.Conn) map[string]int {
	tb.Helper()
	counts := make(map[string]int)
	for _, u := range storedEvents(tb, nc) {
		counts[u.ID]++
	}
	return counts
}

// storedEvents reads the whole stream. Every event must decode and stand in its
// own partition.
func storedEvents(tb testing.TB, nc *nats.Conn) (usages []events.Usage) {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, events.StreamUsage)
	if err != nil {
		tb.Fatalf("open stream: %v", err)
	}
	for sequence := uint64(1); sequence <= stream.CachedInfo().State.LastSeq; sequence++ {
		msg, err := stream.GetMsg(ctx, sequence)
		if err != nil {
			tb.Fatalf("read message %d: %v", sequence, err)
		}
		for _, item := range events.DecodeMessage(msg.Subject, msg.Header, msg.Data, partitions) {
			if item.Err != nil {
				tb.Fatalf("message %d: %v", sequence, item.Err)
			}
			usages = append(usages, item.Usage)
		}
	}
	return usages
}

// played stands in the stream's place, so that a test decides when and how the
// server answers a message.
type played struct {
	tb       testing.TB
	messages chan *nats.Msg
}

func play(tb testing.TB, nc *nats.Conn) played {
	tb.Helper()
	p := played{tb: tb, messages: make(chan *nats.Msg, 1024)}
	sub, err := nc.ChanSubscribe("usage.batch.*", p.messages)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// next returns the next message published and the ids in it.
func (p played) next() (*nats.Msg, []string) {
	p.tb.Helper()
	select {
	case msg := <-p.messages:
		items, problem := events.DecodeBatch(msg.Data)
		if problem != nil {
			p.tb.Fatalf("batch: %v", problem)
		}
		var ids []string
		for _, item := range items {
			if item.Err != nil {
				p.tb.Fatalf("event: %v", item.Err)
			}
			ids = append(ids, item.Usage.ID)
		}
		return msg, ids
	case <-time.After(30 * time.Second):
		p.tb.Fatal("no message was published")
		return nil, nil
	}
}

// quiet fails the test when a message was published that nobody has read, after
// having let every sender run that could.
func (p played) quiet(nc *nats.Conn) {
	p.tb.Helper()
	for range 20 {
		runtime.Gosched()
		if err := nc.Flush(); err != nil {
			p.tb.Fatal(err)
		}
	}
	if n := len(p.messages); n > 0 {
		p.tb.Fatalf("%d messages were published beyond those in flight", n)
	}
}

func (p played) ack(msg *nats.Msg) { p.answer(msg, map[string]any{"stream": "USAGE", "seq": 1}) }

func (p played) refuse(msg *nats.Msg, code, errCode int) {
	p.answer(msg, map[string]any{"error": map[string]any{"code": code, "err_code": errCode, "description": "played"}})
}

func (p played) answer(msg *nats.Msg, answer any) {
	p.tb.Helper()
	body, err := json.Marshal(answer)
	if err != nil {
		p.tb.Fatal(err)
	}
	if err := msg.Respond(body); err != nil {
		p.tb.Fatal(err)
	}
}
