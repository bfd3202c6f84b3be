package schematest_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/cloudevent"
)

// plainUsage draws a usage event whose attributes need no percent-encoding in
// headers: the CloudEvents SDK neither encodes nor decodes it there.
func plainUsage(t *rapid.T) events.Usage {
	u := usage(t)
	u.ID = rapid.StringMatching(`[!#-$&-~]{1,40}`).Draw(t, "plain id")
	u.Source = rapid.SampledFrom([]string{"/s", "https://example.com/a?b=c#d", "urn:x:y"}).Draw(t, "plain source")
	return u
}

func TestTheSDKReadsTheHeadersWeEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := plainUsage(t)
		encoded, body, err := events.EncodeBinary(u)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		for name, values := range encoded {
			header.Set(name, values[0])
		}
		read, err := binding.ToEvent(t.Context(), cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(body))))
		if err != nil {
			t.Fatalf("%v: %v", header, err)
		}
		got, err := cloudevent.ToUsage(*read)
		if diff := difference(u, got); err != nil || diff != "" {
			t.Fatalf("%v: %v %s", header, err, diff)
		}
	})
}

func TestWeReadTheHeadersTheSDKEncodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := plainUsage(t)
		sent, err := cloudevent.FromUsage(u)
		if err != nil {
			t.Fatal(err)
		}
		sent.SetExtension("traceparent", "00-ab-cd-01")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		encoding := binding.WithForceBinary(t.Context())
		if rapid.Bool().Draw(t, "structured") {
			encoding = binding.WithForceStructured(t.Context())
		}
		if err := cehttp.WriteRequest(encoding, (*binding.EventMessage)(&sent), request); err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		items := events.DecodeMessage(events.UsageSubject(u.Account), request.Header, body, 16)
		if diff := difference(u, items[0].Usage); len(items) != 1 || items[0].Err != nil || diff != "" {
			t.Fatalf("%v %s: %v %s", request.Header, body, items[0].Err, diff)
		}
	})
}

func difference(want, got events.Usage) string {
	if len(want.Data.Quantities) == 0 {
		want.Data.Quantities = nil
	}
	if len(want.Data.Attributes) == 0 {
		want.Data.Attributes = nil
	}
	return cmp.Diff(want, got, cmp.AllowUnexported(events.Quantity{}))
}
