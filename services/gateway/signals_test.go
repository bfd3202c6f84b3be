package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

// signal publishes a signal as the enforcer does and returns its text.
func (w *world) signal(kind events.SignalKind, account string, sequence uint64) string {
	w.t.Helper()
	header, body, err := events.EncodeSignal(events.Signal{
		Account: account, Kind: kind, Threshold: "20%", Scope: events.ScopeAccount, Sequence: sequence,
		At: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	})
	w.ok(err)
	_, err = w.js.PublishMsg(w.t.Context(), &nats.Msg{Subject: events.SignalSubject(kind, account), Header: header, Data: body})
	w.ok(err)
	return string(body)
}

// subscription reads a stream of server-sent events.
type subscription struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

func (w *world) subscribe(t *testing.T, query, lastEventID string) *subscription {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/v1/signals"+query, nil)
	w.ok(err)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := w.client.Do(request)
	w.ok(err)
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, content type %q", response.StatusCode, response.Header.Get("Content-Type"))
	}
	t.Cleanup(func() { response.Body.Close() })
	s := &subscription{t: t, response: response, lines: bufio.NewScanner(response.Body)}
	if first := s.next(); !strings.HasPrefix(first, "retry: ") {
		t.Fatalf("first block %q", first)
	}
	return s
}

// next returns the next block of lines; "" when the stream has ended.
func (s *subscription) next() string {
	s.t.Helper()
	var block []string
	for s.lines.Scan() {
		if s.lines.Text() == "" {
			return strings.Join(block, "\n")
		}
		block = append(block, s.lines.Text())
	}
	return strings.Join(block, "\n")
}

func (s *subscription) want(id int, kind events.SignalKind, data string) {
	s.t.Helper()
	want := fmt.Sprintf("id: %d\nevent: %s\ndata: %s", id, kind, data)
	if got := s.next(); got != want {
		s.t.Fatalf("event\n%s\nwant\n%s", got, want)
	}
}

func TestSignalsAreStreamedFromNowOn(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.signal(events.SignalLow, "acme", 1)
	s := w.subscribe(t, "", "")
	s.want(2, events.SignalExhausted, w.signal(events.SignalExhausted, "acme", 2))
	s.want(3, events.SignalLow, w.signal(events.SignalLow, "beta", 1))
}

func TestSignalsAreFilteredByAccountAndKind(t *testing.T) {
	t.Parallel()
	w := start(t)
	byAccount, byKind := w.subscribe(t, "?account=beta", ""), w.subscribe(t, "?kind=exhausted", "")
	w.signal(events.SignalLow, "acme", 1)
	low := w.signal(events.SignalLow, "beta", 1)
	exhausted := w.signal(events.SignalExhausted, "acme", 2)
	byAccount.want(2, events.SignalLow, low)
	byKind.want(3, events.SignalExhausted, exhausted)
}

func TestSignalsResumeBehindTheLastEventID(t *testing.T) {
	t.Parallel()
	w := start(t)
	first := w.signal(events.SignalLow, "acme", 1)
	second := w.signal(events.SignalExhausted, "acme", 2)
	third := w.signal(events.SignalRestored, "acme", 3)
	s := w.subscribe(t, "?from=3", "1") // the header wins
	s.want(2, events.SignalExhausted, second)
	s.want(3, events.SignalRestored, third)
	w.subscribe(t, "?from=1", "").want(1, events.SignalLow, first)
	w.call("GET", "/v1/signals", "", "Last-Event-ID", "x").want(422)
}

func TestAnIdleStreamOfSignalsSaysThatItIsAlive(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.Heartbeat = time.Millisecond })
	if got := w.subscribe(t, "", "").next(); got != ": alive" {
		t.Errorf("got %q", got)
	}
}

func TestStreamsOfSignalsEndAtShutdown(t *testing.T) {
	t.Parallel()
	w := start(t)
	s := w.subscribe(t, "", "")
	w.stop()
	if got := s.next(); got != "" || s.lines.Err() != nil {
		t.Errorf("at shutdown: %q, %v; want a clean end", got, s.lines.Err())
	}
	err := <-w.served
	w.served <- err // for the test's end
	if err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestASubscriberThatLeavesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/signals", nil)
	w.ok(err)
	response, err := w.client.Do(request)
	w.ok(err)
	open := func() string {
		metrics := string(w.call("GET", "/metrics", "").want(200).body)
		_, rest, _ := strings.Cut(metrics, "\ndrawdown_gateway_signal_streams ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	if open() != "1" {
		t.Errorf("%s streams open, want 1", open())
	}
	leave()
	response.Body.Close()
	w.until("the gateway notices", func() bool { return open() == "0" })
}
