package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// ages is a dedup horizon in which no event of a test is too late.
const ages = 100 * 365 * 24 * time.Hour

func TestMain(m *testing.M) { enginetest.Main(m) }

// partitions are few, so that a projector starts fast.
const partitions = 2

// world is a gateway that serves over TCP, on a NATS server of its own.
type world struct {
	t       testing.TB
	server  *natstest.Server
	nc      *nats.Conn
	js      jetstream.JetStream
	streams *stream.Streams
	emitter *emit.Emitter
	client  *http.Client
	url     string
	key     string
	stop    context.CancelFunc // ends Serve
	served  chan error
}

func start(t testing.TB, configure ...func(*gateway.Config)) *world {
	return startWith(t, stream.Config{Partitions: partitions}, configure...)
}

func startWith(t testing.TB, topology stream.Config, configure ...func(*gateway.Config)) *world {
	t.Helper()
	w := &world{t: t, server: natstest.Run(t), served: make(chan error, 1)}
	w.nc = w.server.Connect()
	var err error
	w.js, err = jetstream.New(w.nc)
	w.ok(err)
	w.streams, err = stream.Ensure(t.Context(), w.js, topology)
	w.ok(err)
	emitter, err := emit.New(w.nc, emit.Options{Partitions: partitions, AckTimeout: time.Second})
	w.ok(err)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = emitter.Close(ended) // what is still queued was answered 503
	})
	w.emitter = emitter
	c := gateway.Config{NATS: w.nc, JetStream: w.js, Streams: w.streams, Emitter: emitter, Horizon: ages}
	for _, f := range configure {
		f(&c)
	}
	w.key = c.APIKey
	g, err := gateway.New(c)
	w.ok(err)
	t.Cleanup(func() { _ = g.Close() })
	w.serve(g)
	return w
}

func (w *world) serve(g *gateway.Gateway) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	w.url = "http://" + listener.Addr().String()
	transport := &http.Transport{}
	w.client = &http.Client{Transport: transport}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.served <- g.Serve(ctx, listener) }()
	w.t.Cleanup(func() {
		stop()
		transport.CloseIdleConnections()
		if err := <-w.served; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
}

// project runs the real projector, which answers commands.
func (w *world) project() *world {
	w.t.Helper()
	w.balances()
	return w
}

// balances runs the real projector until stop, or the test's end.
func (w *world) balances() (stop func()) {
	w.t.Helper()
	broker, err := stream.NewBroker(w.nc)
	w.ok(err)
	p, err := balances.New(balances.Config{Broker: broker, Partitions: w.streams.Partitions})
	w.ok(err)
	stop = w.run("project balances", p.Run)
	// It answers commands that are stored after it caught up.
	w.until("the projector is ready", p.Ready)
	return stop
}

// run runs a service until stop, or the test's end.
func (w *world) run(what string, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// until waits for what takes a moment; it gives up long after that.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	look, enough := time.NewTicker(2*time.Millisecond), time.NewTimer(30*time.Second)
	defer look.Stop()
	defer enough.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-enough.C:
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// answer is what the gateway answered.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// call sends a request; headers are name, value, name, value…
func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	w.ok(err)
	if w.key != "" {
		request.Header.Set("Authorization", "Bearer "+w.key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.client.Do(request)
	w.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.ok(err)
	return answer{w.t, response.StatusCode, response.Header, text}
}

// want fails unless the status is as said; every error must be a problem.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if status >= 400 {
		a.problem()
	}
	return a
}

// problem reads a problem and checks that it says what RFC 9457 asks for.
func (a answer) problem() gateway.Problem {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("status %d with content type %q, want a problem: %s", a.status, got, a.body)
	}
	p := decode[gateway.Problem](a)
	if p.Status != a.status || p.Title == "" || p.Type == "" || p.Detail == "" {
		a.t.Fatalf("incomplete problem with status %d: %s", a.status, a.body)
	}
	return p
}

func decode[T any](a answer) (v T) {
	a.t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(&v); err != nil {
		a.t.Fatalf("decode %s: %v", a.body, err)
	}
	return v
}

// stored returns the usage events that USAGE holds.
func (w *world) stored() (items []events.Item) {
	w.t.Helper()
	info, err := w.streams.Usage.Info(w.t.Context())
	w.ok(err)
	for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
		m, err := w.streams.Usage.GetMsg(w.t.Context(), sequence)
		w.ok(err)
		items = append(items, events.DecodeMessage(m.Subject, m.Header, m.Data, partitions)...)
	}
	return items
}
