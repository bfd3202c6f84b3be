package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/drawdown-credits/drawdown/events"
)

// Emitter stores usage events: *emit.Emitter.
type Emitter interface {
	// EmitBatch returns when each event is stored, or why it is not, in order.
	EmitBatch(ctx context.Context, usages []events.Usage) []error
}

type ingestInput struct {
	RawBody []byte
	header  http.Header
}

// Resolve keeps the request's headers, of which ce- ones may have any name.
func (in *ingestInput) Resolve(ctx huma.Context) []error {
	request, _ := humago.Unwrap(ctx)
	in.header = request.Header
	return nil
}

type ingestOutput struct {
	Body Accepted
}

// Accepted is the answer to usage events that are stored.
type Accepted struct {
	Accepted int `json:"accepted" doc:"How many events are stored."`
}

func (g *Gateway) ingestRoutes() {
	register(g, huma.Operation{
		OperationID: "ingest", Method: http.MethodPost, Path: "/v1/events", DefaultStatus: http.StatusAccepted, Tags: []string{"Usage"},
		Summary: "Store usage events",
		Description: "One CloudEvent, structured or binary (ce- headers), or a batch. Answered only after every event is stored; " +
			"if one is not valid, none is stored and errors lists each that is not. Sending an event again is safe: it counts once.",
		RequestBody: g.body(map[string]any{
			events.ContentTypeEvent: usageEvent{}, events.ContentTypeBatch: []usageEvent{}, events.ContentTypeJSON: events.UsageData{},
		}),
	}, g.ingest)
}

// usageEvent documents a structured usage event; it is never decoded into.
type usageEvent struct {
	SpecVersion     string           `json:"specversion" enum:"1.0"`
	ID              string           `json:"id" maxLength:"256" doc:"Unique within the source."`
	Source          string           `json:"source" maxLength:"512" format:"uri-reference" doc:"The emitting service."`
	Type            string           `json:"type" enum:"drawdown.usage.v1"`
	Subject         string           `json:"subject" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The account."`
	Time            string           `json:"time" format:"date-time" doc:"When the call happened."`
	DataContentType string           `json:"datacontenttype,omitzero" enum:"application/json"`
	Data            events.UsageData `json:"data"`
}

// untimely reports whether some event was refused for its time.
func (p *Problem) untimely() bool {
	return slices.ContainsFunc(p.Errors, func(f Fault) bool { return f.Code == events.CodeTooLate || f.Code == events.CodeFuture })
}

// streamTime is the clock that stamps what USAGE stores; ours when it cannot be
// asked.
func (g *Gateway) streamTime(ctx context.Context) time.Time {
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	state, err := g.broker.Log(events.StreamUsage).State(bounded)
	if err != nil {
		return g.Now()
	}
	return state.Now
}

func (g *Gateway) ingest(ctx context.Context, in *ingestInput) (*ingestOutput, error) {
	usages, p := accept(in.header, in.RawBody, g.Now(), g.MaxAhead, g.Horizon)
	if p != nil && p.untimely() {
		// By our clock, which may be wrong: the raters go by the stream's.
		usages, p = accept(in.header, in.RawBody, g.streamTime(ctx), g.MaxAhead, g.Horizon)
	}
	if p != nil {
		for _, fault := range p.Errors {
			g.metrics.refused.WithLabelValues(fault.Code).Inc()
		}
		return nil, p
	}
	if err := g.online(); err != nil {
		return nil, err
	}
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	stored := 0
	var failed error
	for _, err := range g.Emitter.EmitBatch(bounded, usages) {
		if err == nil {
			stored++
			continue
		}
		failed = err
	}
	g.metrics.accepted.Add(float64(stored))
	if failed != nil {
		g.Logger.Warn("usage events not stored", "stored", stored, "failed", len(usages)-stored, "err", failed)
		return nil, unavailable("%d of %d events are known to be stored; send all of them again: each counts once", stored, len(usages))
	}
	return &ingestOutput{Body: Accepted{Accepted: len(usages)}}, nil
}
