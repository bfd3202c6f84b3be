package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	routeSignals = "GET /v1/signals"
	// streamsMax bounds open streams of signals.
	streamsMax = 1000
	// sendTimeout is how long one write to a subscriber may take. One that
	// reads slower is cut off and resumes by Last-Event-ID.
	sendTimeout = 15 * time.Second
	// reconnectMillis is what subscribers are told to wait before they resume.
	reconnectMillis = 1000
)

type signalsInput struct {
	Account     string `query:"account" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"an account: 1 to 64 of A–Z a–z 0–9 _ -" doc:"Only of this account."`
	Kind        string `query:"kind" enum:"low,exhausted,restored,overage_started,budget_exceeded,budget_restored,topup_requested" doc:"Only of this kind."`
	From        uint64 `query:"from" doc:"The stream sequence to begin at; 1 is the first signal ever. Default: those from now on."`
	LastEventID string `header:"Last-Event-ID" doc:"Go on behind this event; wins over from."`
}

func (g *Gateway) signalRoutes() {
	register(g, huma.Operation{
		OperationID: "stream-signals", Method: http.MethodGet, Path: "/v1/signals", Tags: []string{"Signals"},
		Summary: "Follow signals",
		Description: "Server-sent events: id is the sequence in stream SIGNALS, event the kind, data the CloudEvent. " +
			"A comment every 15 seconds shows that the stream is alive.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream that does not end.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, g.streamSignals)
}

func (g *Gateway) streamSignals(ctx context.Context, in *signalsInput) (*huma.StreamResponse, error) {
	if err := g.online(); err != nil {
		return nil, err
	}
	select {
	case g.streaming <- struct{}{}:
	default:
		return nil, unavailable("%d streams of signals are open already", streamsMax)
	}
	reader, err := g.readSignals(ctx, in)
	if err != nil {
		<-g.streaming
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		g.metrics.streams.Inc()
		defer func() {
			reader.Close()
			<-g.streaming
			g.metrics.streams.Dec()
		}()
		_, w := humago.Unwrap(c)
		g.sendSignals(ctx, w, reader)
	}}, nil
}

func (g *Gateway) readSignals(ctx context.Context, in *signalsInput) (*stream.Reader, error) {
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	signals, from := g.broker.Log(events.StreamSignals), in.From
	switch {
	case in.LastEventID != "":
		last, err := strconv.ParseUint(in.LastEventID, 10, 63)
		if err != nil {
			return nil, invalid("the request is not valid", Fault{Path: "header.Last-Event-ID", Code: "invalid",
				Detail: fmt.Sprintf("found %q; expected the id of an event of this stream: a whole number", clip(in.LastEventID))})
		}
		from = last + 1
	case from == 0:
		state, err := signals.State(bounded)
		if err != nil {
			return nil, err
		}
		from = state.Last + 1
	}
	reader, err := signals.Read(bounded, stream.From{Sequence: from}, "credits."+orAny(in.Kind)+"."+orAny(in.Account))
	if err != nil {
		return nil, fmt.Errorf("follow signals: %w", err)
	}
	return reader, nil
}

func orAny(token string) string {
	if token == "" {
		return "*"
	}
	return token
}

// sendSignals writes until the subscriber or the gateway goes away. It takes
// the next signal only when the one before is written, so a slow subscriber
// costs the reader's bounded buffer and no more.
func (g *Gateway) sendSignals(ctx context.Context, w http.ResponseWriter, reader *stream.Reader) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies should pass it on at once
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	send := func(text []byte) bool {
		// A writer without deadlines is a test's.
		_ = control.SetWriteDeadline(time.Now().Add(sendTimeout))
		_, err := w.Write(text)
		return err == nil && control.Flush() == nil
	}
	heartbeat := time.NewTicker(g.Heartbeat)
	defer heartbeat.Stop()
	for going := send(fmt.Appendf(nil, "retry: %d\n\n", reconnectMillis)); going; {
		select {
		case m := <-reader.Messages():
			going = send(eventText(m))
		case <-heartbeat.C:
			going = send([]byte(": alive\n\n"))
		case <-ctx.Done():
			return
		case <-g.stopping:
			return
		}
	}
}

// eventText is a signal as a server-sent event. JSON has no raw line breaks in
// strings; between tokens they are put on lines of their own.
func eventText(m stream.Message) []byte {
	kind := strings.Split(m.Subject, ".")[1] // credits.<kind>.<account>
	text := fmt.Appendf(nil, "id: %d\nevent: %s\n", m.Sequence, kind)
	for line := range bytes.Lines(m.Data) {
		text = append(append(append(text, "data: "...), bytes.TrimRight(line, "\r\n")...), '\n')
	}
	return append(text, '\n')
}
