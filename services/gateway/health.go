package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/drawdown-credits/drawdown/events"
)

const probeTimeout = 2 * time.Second

// Health is the state of the gateway and of what it needs.
type Health struct {
	Status     string      `json:"status" enum:"ok,degraded,unavailable"`
	Components []Component `json:"components,omitempty"`
}

// Component is one part that the gateway needs. Without an optional one it is
// degraded and yet ready.
type Component struct {
	Name     string `json:"name"`
	Status   string `json:"status" enum:"ok,unavailable"`
	Optional bool   `json:"optional,omitzero"`
	Detail   string `json:"detail,omitzero"`
}

const (
	statusOK          = "ok"
	statusDegraded    = "degraded"
	statusUnavailable = "unavailable"
)

type healthOutput struct {
	Status int
	Body   Health
}

func (g *Gateway) healthRoutes() {
	register(g, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{"Operations"}, Summary: "Whether the process is alive",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{Status: http.StatusOK, Body: Health{Status: statusOK}}, nil
	})
	register(g, huma.Operation{
		OperationID: "readiness", Method: http.MethodGet, Path: "/readyz", Tags: []string{"Operations"},
		Summary:     "Whether calls can be served",
		Description: "200 while NATS and its streams are there, 503 otherwise. Without ClickHouse the gateway is degraded: only history is missing.",
	}, g.ready)
	metrics := promhttp.HandlerFor(g.Gatherer, promhttp.HandlerOpts{})
	register(g, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"Operations"}, Summary: "Prometheus metrics",
		Responses: map[string]*huma.Response{"200": {
			Description: "Metrics in the Prometheus text format.",
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			request, w := humago.Unwrap(c)
			metrics.ServeHTTP(w, request)
		}}, nil
	})
}

func (g *Gateway) ready(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out := &healthOutput{Status: http.StatusOK, Body: Health{Status: statusOK, Components: g.components(ctx)}}
	for _, c := range out.Body.Components {
		switch {
		case c.Status == statusOK:
		case !c.Optional:
			out.Status, out.Body.Status = http.StatusServiceUnavailable, statusUnavailable
		case out.Status == http.StatusOK:
			out.Body.Status = statusDegraded
		}
	}
	return out, nil
}

func (g *Gateway) components(ctx context.Context) []Component {
	connected := Component{Name: "nats", Status: statusOK}
	if !g.NATS.IsConnected() {
		connected.Status, connected.Detail = statusUnavailable, "not connected"
	}
	found := []Component{connected}
	for _, name := range []string{events.StreamUsage, events.StreamLedger, events.StreamSignals, events.StreamDeadLetter} {
		found = append(found, probe("stream "+name, connected.Status == statusOK, func() error {
			_, err := g.broker.Log(name).State(ctx)
			return err
		}))
	}
	for _, bucket := range []jetstream.KeyValue{g.Streams.Balances, g.Streams.Catalog} {
		found = append(found, probe("bucket "+bucket.Bucket(), connected.Status == statusOK, func() error {
			_, err := bucket.Status(ctx)
			return err
		}))
	}
	found = append(found, g.clickhouse(ctx))
	if g.Stopped != nil {
		for part, err := range g.Stopped() {
			found = append(found, Component{Name: part, Status: statusUnavailable, Optional: true, Detail: "stopped: " + err.Error()})
		}
	}
	return found
}

// pinger is an Analytics that can be asked for a sign of life.
type pinger interface {
	Ping(ctx context.Context) error
}

func (g *Gateway) clickhouse(ctx context.Context) Component {
	c := probe("clickhouse", g.Analytics != nil, func() error {
		if p, ok := g.Analytics.(pinger); ok {
			return p.Ping(ctx)
		}
		return nil
	})
	c.Optional = true
	return c
}

// probe asks a part for a sign of life, if what it depends on has given one.
func probe(name string, reachable bool, ask func() error) Component {
	c := Component{Name: name, Status: statusUnavailable, Detail: "not connected"}
	if !reachable {
		return c
	}
	if err := ask(); err != nil {
		c.Detail = "does not answer"
		return c
	}
	return Component{Name: name, Status: statusOK}
}
