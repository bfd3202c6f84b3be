// Package gateway is Drawdown's HTTP door: usage events in, commands about
// credits, balances and history out, signals as a live stream. It is described
// by OpenAPI 3.1 at /openapi.json; every error is an RFC 9457 problem.
//
// It keeps no state and decides nothing about credits. A usage event is
// answered 202 only after JetStream has stored it; a command is appended to the
// ledger and answered with what the ledger's fold decided; reads come from the
// buckets and ClickHouse tables that others write. Any number of gateways may
// run beside each other.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	defaultMaxAhead        = 5 * time.Minute
	defaultHorizon         = 72 * time.Hour
	defaultDecisionTimeout = 5 * time.Second
	defaultHeartbeat       = 15 * time.Second
)

// Config is what a gateway needs from the world. NATS, JetStream, Streams and
// Emitter are required.
type Config struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Streams   *stream.Streams
	Emitter   Emitter
	// Analytics answers history; nil answers it with 503.
	Analytics Analytics
	// Restore reads snapshots of the fold, from which a past point is folded
	// faster; default none.
	Restore past.Restore

	// CheckRateCard looks at a well-formed rate card before it is applied, and
	// says what is wrong with it; nil accepts every one.
	CheckRateCard catalog.Check
	// CompileRateCard makes a rate card rate past usage; nil answers simulations
	// with 501.
	CompileRateCard func(events.RateCard) (simulate.Rate, error)

	// Stopped names parts that run in the same process and have stopped, with
	// the reason; /readyz shows them as degraded. nil means there are none.
	Stopped func() map[string]error

	// APIKey is what callers of /v1 present as a bearer token. An empty one
	// admits everybody: for a gateway on loopback only.
	APIKey string
	// MaxAhead is how far in the future the time of a usage event may lie;
	// default 5 minutes.
	MaxAhead time.Duration
	// Horizon is how far in the past it may lie: the dedup horizon of the
	// raters; default 72 hours.
	Horizon time.Duration
	// DecisionTimeout bounds the wait for the fold's answer; default 5 s.
	DecisionTimeout time.Duration
	// Heartbeat is how often an idle stream of signals says so; default 15 s.
	Heartbeat time.Duration
	// ProgressEvery is how often whoever asks for progress is told of it; default
	// 250 ms.
	ProgressEvery time.Duration

	// Now is the local clock; default time.Now. Whether an event is too late or
	// lies in the future is the stream's clock to say.
	Now func() time.Time

	Logger     *slog.Logger          // default discards
	Registerer prometheus.Registerer // default a registry of its own
	Gatherer   prometheus.Gatherer   // what /metrics shows; default that registry
	Version    string                // shown in the OpenAPI document
}

// Gateway serves the HTTP API. It is safe for concurrent use.
type Gateway struct {
	Config
	api      huma.API
	mux      *http.ServeMux
	handler  http.Handler
	metrics  *metrics
	inbox    *inbox    // of decisions
	requests *requests // over NATS
	broker   stream.Broker

	streaming chan struct{} // a slot per open stream of signals
	answering chan struct{} // a slot per question that may take long
	stopping  chan struct{}
	stop      sync.Once
}

// New builds a gateway, which from now on answers requests over NATS, and
// subscribes the inbox on which it hears decisions. Close it.
func New(c Config) (*Gateway, error) {
	if c.NATS == nil || c.JetStream == nil || c.Streams == nil || c.Emitter == nil {
		return nil, errors.New("build gateway: NATS, JetStream, Streams and Emitter are required")
	}
	c.setDefaults()
	g := &Gateway{
		Config: c, mux: http.NewServeMux(),
		streaming: make(chan struct{}, streamsMax), answering: make(chan struct{}, longMax), stopping: make(chan struct{}),
	}
	var err error
	if g.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, fmt.Errorf("register the gateway's metrics: %w", err)
	}
	if g.broker, err = stream.NewBroker(c.NATS); err != nil {
		return nil, err
	}
	if g.inbox, err = newInbox(c.NATS); err != nil {
		return nil, err
	}
	if err := g.routes(); err != nil {
		return nil, errors.Join(err, g.inbox.close())
	}
	g.handler = g.middleware(g.mux)
	if g.requests, err = newRequests(g); err != nil {
		return nil, errors.Join(err, g.inbox.close())
	}
	return g, nil
}

func (c *Config) setDefaults() {
	if c.MaxAhead == 0 {
		c.MaxAhead = defaultMaxAhead
	}
	if c.Horizon == 0 {
		c.Horizon = defaultHorizon
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.DecisionTimeout == 0 {
		c.DecisionTimeout = defaultDecisionTimeout
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.ProgressEvery == 0 {
		c.ProgressEvery = defaultProgressEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	registry := prometheus.NewRegistry()
	if c.Registerer == nil {
		c.Registerer = registry
		if c.Gatherer == nil {
			c.Gatherer = registry
		}
	}
	if c.Gatherer == nil {
		c.Gatherer = prometheus.DefaultGatherer
	}
	if c.Version == "" {
		c.Version = "devel"
	}
}

// Handler is the whole API, with authentication and metrics.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Close ends open streams of signals, requests over NATS and the inbox. It does
// not close the connection, which is the caller's.
func (g *Gateway) Close() error {
	g.endStreams()
	return errors.Join(g.requests.close(), g.inbox.close())
}

func (g *Gateway) endStreams() { g.stop.Do(func() { close(g.stopping) }) }

// online refuses a request that needs NATS while there is no connection: the
// client library would otherwise keep it until the connection is back.
func (g *Gateway) online() error {
	if g.NATS.IsConnected() {
		return nil
	}
	return unavailable("NATS is not connected; nothing was stored")
}

// bounded gives a request's calls to NATS an end.
func (g *Gateway) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, natsTimeout)
}

const natsTimeout = 10 * time.Second
