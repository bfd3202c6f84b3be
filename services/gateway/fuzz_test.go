package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// FuzzIngest sends any body under any header: the answer is 202 or a problem
// of the caller's, never one of ours.
func FuzzIngest(f *testing.F) {
	f.Add(structured, "", "", []byte(event()))
	f.Add(batched, "", "", []byte("["+event()+","+quantity("-1")+"]"))
	f.Add("application/json", "ce-id", "caf%C3%A9", []byte(`{"operation":"GET /"}`))
	f.Add(batched+"; charset=utf-8", "ce-", "%", []byte("[[{}]]"))
	f.Add("application/cloudevents+json;a", "Ce-Time", "2026-11-01T12:00:00Z", []byte("\xff"))
	handler := ingestHandler(f)
	f.Fuzz(func(t *testing.T, contentType, name, value string, body []byte) {
		request := httptest.NewRequest("POST", "/v1/events", bytes.NewReader(body))
		request.Header.Set("Content-Type", contentType)
		if name != "" {
			request.Header[http.CanonicalHeaderKey(name)] = []string{value}
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		switch {
		case answer.Code == http.StatusAccepted:
		case answer.Code < 400 || answer.Code >= 500:
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		default:
			var p gateway.Problem
			if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || p.Status != answer.Code || p.Detail == "" {
				t.Fatalf("no problem: %v: %s", err, answer.Body)
			}
			for _, fault := range p.Errors {
				if fault.Code == "" || fault.Detail == "" || strings.ContainsRune(fault.Detail, '\n') {
					t.Fatalf("fault without a reason: %+v", fault)
				}
			}
		}
	})
}

func ingestHandler(f *testing.F) http.Handler {
	nc := natstest.Run(f).Connect()
	must := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	js, err := jetstream.New(nc)
	must(err)
	streams, err := stream.Ensure(f.Context(), js, stream.Config{Partitions: partitions})
	must(err)
	emitter, err := emit.New(nc, emit.Options{Partitions: partitions})
	must(err)
	g, err := gateway.New(gateway.Config{NATS: nc, JetStream: js, Streams: streams, Emitter: emitter})
	must(err)
	f.Cleanup(func() {
		_ = g.Close()
		_ = emitter.Close(f.Context())
	})
	return g.Handler()
}

var _ gateway.Emitter = (*emit.Emitter)(nil)
