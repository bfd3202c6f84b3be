package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

// event is a valid structured usage event, with members replaced: name, JSON,
// name, JSON… An empty JSON leaves the member out.
func event(replace ...string) string {
	members := [][2]string{
		{"specversion", `"1.0"`}, {"type", `"drawdown.usage.v1"`}, {"source", `"/api"`}, {"id", `"1"`},
		{"subject", `"acme"`}, {"time", `"2026-11-01T12:00:00Z"`},
		{"data", `{"operation":"GET /","quantities":{"bytes_out":"2048"}}`},
	}
	var parts []string
	for _, m := range members {
		for i := 0; i < len(replace); i += 2 {
			if replace[i] == m[0] {
				m[1] = replace[i+1]
			}
		}
		if m[1] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", m[0], m[1]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func quantity(json string) string {
	return event("data", `{"operation":"GET /","quantities":{"bytes_out":`+json+`}}`)
}

var binaryHeaders = []string{
	"Content-Type", "application/json", "ce-specversion", "1.0", "ce-type", "drawdown.usage.v1", "ce-source", "/api",
	"ce-id", "caf%C3%A9", "ce-subject", "acme", "ce-time", "2026-11-01T12:00:00Z",
}

func TestUsageEventsAreStoredWhenTheyAreAnswered202(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		headers []string
		ids     []string
	}{
		"one structured event":                  {event(), []string{"Content-Type", structured}, []string{"1"}},
		"one structured event with a charset":   {event(), []string{"Content-Type", structured + "; charset=UTF-8"}, []string{"1"}},
		"one binary event":                      {`{"operation":"GET /"}`, binaryHeaders, []string{"café"}},
		"a batch over several accounts":         {"[" + event() + "," + event("id", `"2"`, "subject", `"zeta"`) + "]", []string{"Content-Type", batched}, []string{"1", "2"}},
		"a time a little ahead":                 {event("time", `"`+time.Now().Add(4*time.Minute).UTC().Format(time.RFC3339)+`"`), []string{"Content-Type", structured}, []string{"1"}},
		"an extension attribute of CloudEvents": {strings.Replace(event(), "{", `{"traceparent":"00-1",`, 1), []string{"Content-Type", structured}, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			a := w.call("POST", "/v1/events", c.body, c.headers...).want(http.StatusAccepted)
			if got := decode[gateway.Accepted](a).Accepted; got != len(c.ids) {
				t.Errorf("accepted %d, want %d", got, len(c.ids))
			}
			found := map[string]bool{}
			for _, item := range w.stored() {
				if item.Err != nil {
					t.Errorf("stored a bad event: %v", item.Err)
				}
				found[item.Usage.ID] = true
			}
			for _, id := range c.ids {
				if !found[id] || len(found) != len(c.ids) {
					t.Errorf("stored %v, want %v", found, c.ids)
				}
			}
		})
	}
}

func TestBadUsageEventsAreRefusedWithTheReasonAndNothingIsStored(t *testing.T) {
	t.Parallel()
	w := start(t)
	future := time.Now().Add(6 * time.Minute).UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		body        string
		contentType string
		status      int
		code, path  string
	}{
		"not JSON":                 {"hello", structured, 400, "malformed", ""},
		"cut off":                  {event()[:40], structured, 400, "malformed", ""},
		"two documents":            {event() + event(), structured, 400, "malformed", ""},
		"duplicate keys":           {strings.Replace(event(), "{", `{"id":"1",`, 1), structured, 400, "malformed", "/id"},
		"duplicate keys in data":   {event("data", `{"operation":"a","operation":"b"}`), structured, 400, "malformed", "/data/operation"},
		"invalid UTF-8":            {event("id", "\"\xff\""), structured, 400, "malformed", "/id"},
		"empty body":               {"", structured, 400, "", ""},
		"an array":                 {"[1]", structured, 422, "malformed", ""},
		"no id":                    {event("id", ""), structured, 422, "missing", "/id"},
		"no source":                {event("source", ""), structured, 422, "missing", "/source"},
		"no subject":               {event("subject", ""), structured, 422, "missing", "/subject"},
		"no time":                  {event("time", ""), structured, 422, "missing", "/time"},
		"no type":                  {event("type", ""), structured, 422, "missing", "/type"},
		"no specversion":           {event("specversion", ""), structured, 422, "missing", "/specversion"},
		"no data":                  {event("data", ""), structured, 422, "missing", "/data"},
		"no operation":             {event("data", "{}"), structured, 422, "missing", "/data/operation"},
		"negative quantity":        {quantity("-1"), structured, 422, "invalid", "/data/quantities/bytes_out"},
		"NaN as text":              {quantity(`"NaN"`), structured, 422, "invalid", "/data/quantities/bytes_out"},
		"NaN as a literal":         {quantity("NaN"), structured, 400, "malformed", "/data/quantities/bytes_out"},
		"10^400":                   {quantity("1e400"), structured, 422, "invalid", "/data/quantities/bytes_out"},
		"30 decimals":              {quantity(`"0.000000000000000000000000000001"`), structured, 422, "invalid", "/data/quantities/bytes_out"},
		"account is no token":      {event("subject", `"a.b"`), structured, 422, "invalid", "/subject"},
		"account with a wildcard":  {event("subject", `"*"`), structured, 422, "invalid", "/subject"},
		"unknown type":             {event("type", `"com.example.other"`), structured, 422, "unknown_type", "/type"},
		"far in the future":        {event("time", `"`+future+`"`), structured, 422, "too_far_ahead", "/time"},
		"time is no time":          {event("time", `"yesterday"`), structured, 422, "invalid", "/time"},
		"data is text":             {event("data", `"x"`), structured, 422, "malformed", "/data"},
		"status is text":           {event("data", `{"operation":"a","status":"200"}`), structured, 422, "malformed", "/data/status"},
		"misspelt field":           {event("data", `{"operation":"a","quantites":{}}`), structured, 422, "invalid", "/data/quantites"},
		"event over 64 KiB":        {event("id", `"`+strings.Repeat("x", events.MaxEventBytes)+`"`), structured, 413, "too_large", ""},
		"2 MiB":                    {strings.Repeat(" ", 2<<20), structured, 413, "", ""},
		"empty batch":              {"[]", batched, 422, "invalid", ""},
		"batch that is an event":   {event(), batched, 422, "malformed", ""},
		"batch that does not end":  {"[" + event(), batched, 400, "malformed", ""},
		"batch of too many events": {"[" + strings.Repeat("1,", events.MaxBatchEvents) + "1]", batched, 413, "too_large", ""},
		"plain JSON":               {event(), "application/json", 415, "", ""},
		"no content type":          {event(), "", 415, "", ""},
		"XML":                      {event(), "application/cloudevents+xml", 415, "", ""},
		"Latin-1":                  {event(), structured + "; charset=latin1", 415, "", ""},
		"a backfill":               {strings.Replace(event(), "{", `{"drawdownbackfill":"2026-11-01T12:00:00Z",`, 1), structured, 422, "invalid", "/drawdownbackfill"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if c.contentType != "" {
				headers = []string{"Content-Type", c.contentType}
			}
			a := w.call("POST", "/v1/events", c.body, headers...).want(c.status)
			switch p := a.problem(); {
			case c.code == "":
			case len(p.Errors) != 1 || p.Errors[0].Code != c.code || p.Errors[0].Path != c.path || p.Errors[0].Detail == "":
				t.Errorf("errors %+v; want one of code %s at %q", p.Errors, c.code, c.path)
			}
			if c.status == 415 && c.contentType != structured+"; charset=latin1" {
				for _, accepted := range []string{structured, batched, "application/json"} {
					if !strings.Contains(a.problem().Detail, accepted) {
						t.Errorf("detail %q does not name %s", a.problem().Detail, accepted)
					}
				}
			}
		})
	}
	if stored := w.stored(); len(stored) != 0 {
		t.Errorf("%d bad events are stored", len(stored))
	}
}

func TestAnEventBehindTheDedupHorizonIsRefused(t *testing.T) {
	t.Parallel()
	const horizon = 10 * time.Hour
	w := startWith(t, stream.Config{Partitions: partitions}, func(c *gateway.Config) { c.Horizon = horizon })
	aged := func(age time.Duration) string {
		return event("time", `"`+time.Now().Add(-age).UTC().Format(time.RFC3339)+`"`)
	}
	w.call("POST", "/v1/events", aged(horizon-time.Minute), "Content-Type", structured).want(202)
	a := w.call("POST", "/v1/events", aged(horizon+time.Minute), "Content-Type", structured).want(422)
	if p := a.problem(); len(p.Errors) != 1 || p.Errors[0].Code != events.CodeTooLate || p.Errors[0].Path != "/time" {
		t.Errorf("errors %+v; want too_late", p.Errors)
	}
	if stored := w.stored(); len(stored) != 1 {
		t.Errorf("%d events are stored; want the one within the horizon", len(stored))
	}
}

func TestAGatewayWhoseClockIsWrongRefusesNothingForItsTime(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"fast": 48 * time.Hour, "slow": -48 * time.Hour} {
		w := startWith(t, stream.Config{Partitions: partitions}, func(c *gateway.Config) {
			c.Horizon = 10 * time.Hour
			c.Now = func() time.Time { return time.Now().Add(off) }
		})
		body := event("time", `"`+time.Now().UTC().Format(time.RFC3339)+`"`)
		if a := w.call("POST", "/v1/events", body, "Content-Type", structured); a.status != 202 {
			t.Errorf("a %s gateway answers %d: %s", name, a.status, a.body)
		}
	}
}

func TestABadEventOfABatchKeepsTheWholeBatchOut(t *testing.T) {
	t.Parallel()
	w := start(t)
	body := "[" + strings.Join([]string{
		event("id", `"good"`), event("id", `"bad"`, "subject", `"a b"`, "time", `"?"`), quantity("-1"), "7",
	}, ",") + "]"
	a := w.call("POST", "/v1/events", body, "Content-Type", batched).want(422)
	type fault struct {
		Index    int
		ID, Path string
	}
	var got []fault
	for _, f := range a.problem().Errors {
		got = append(got, fault{*f.Index, f.ID, f.Path})
	}
	want := []fault{{1, "bad", "/time"}, {1, "bad", "/subject"}, {2, "1", "/data/quantities/bytes_out"}, {3, "", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if stored := w.stored(); len(stored) != 0 {
		t.Errorf("%d events of a bad batch are stored", len(stored))
	}
	metrics := string(w.call("GET", "/metrics", "").want(200).body)
	if !strings.Contains(metrics, `drawdown_gateway_events_refused_total{code="invalid"} 3`) {
		t.Errorf("metrics do not count the refused events:\n%s", metrics)
	}
}

func TestUsageEventsAreNotAnswered202WithoutNATS(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.server.Close()
	a := w.call("POST", "/v1/events", event(), "Content-Type", structured).want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestUsageEventsAreNotAnswered202WhenTheStreamIsFull(t *testing.T) {
	t.Parallel()
	w := startWith(t, stream.Config{Partitions: partitions, UsageMaxBytes: 100}, func(c *gateway.Config) {
		emitter, err := emit.New(c.NATS, emit.Options{Timeout: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = emitter.Close(context.Background()) })
		c.Emitter = emitter
	})
	a := w.call("POST", "/v1/events", event(), "Content-Type", structured).want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if stored := w.stored(); len(stored) != 0 {
		t.Errorf("%d events are stored in a full stream", len(stored))
	}
}
