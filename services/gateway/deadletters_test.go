package gateway_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

// bury publishes dead letters as the rater does.
func (w *world) bury(letters ...events.DeadLetter) {
	w.t.Helper()
	for _, d := range letters {
		d.StoredAt = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		_, err := w.js.PublishMsg(w.t.Context(), &nats.Msg{
			Subject: events.DeadLetterSubject(0, d.Sequence, d.Index), Header: events.DeadLetterHeader(d), Data: d.Body,
		})
		w.ok(err)
	}
}

func single(sequence uint64, reason, body string, header map[string][]string) events.DeadLetter {
	return events.DeadLetter{Reason: reason, Detail: "found this; expected that", Sequence: sequence,
		Subject: events.StoredUsageSubject(0, "acme"), Header: header, Body: []byte(body)}
}

func ofBatch(index int, contentType, body string) events.DeadLetter {
	return events.DeadLetter{Reason: "invalid", Detail: "found this; expected that", Sequence: 1, Index: index,
		Subject: events.BatchSubject(1), Header: map[string][]string{"Content-Type": {contentType}}, Body: []byte(body)}
}

func TestDeadLettersAreListedAndShown(t *testing.T) {
	t.Parallel()
	w := start(t)
	if page := decode[gateway.DeadLetterPage](w.call("GET", "/v1/deadletters", "").want(200)); len(page.DeadLetters) != 0 || page.Next != 0 {
		t.Errorf("of none: %+v", page)
	}
	for i := range 250 {
		reason := "malformed"
		if i%100 == 7 {
			reason = "unratable"
		}
		w.bury(single(uint64(i+1), reason, fmt.Sprintf("body %d\xff", i), map[string][]string{"Ce-Id": {"7"}, "Nats-Msg-Id": {"m"}}))
	}
	var ids []uint64
	for cursor, pages := uint64(0), 0; pages == 0 || cursor != 0; pages++ {
		page := decode[gateway.DeadLetterPage](w.call("GET", fmt.Sprintf("/v1/deadletters?limit=60&cursor=%d", cursor), "").want(200))
		for _, d := range page.DeadLetters {
			ids = append(ids, d.ID)
		}
		if cursor = page.Next; pages > 4 {
			t.Fatalf("page %d of 250 by 60 says there is more", pages)
		}
	}
	if len(ids) != 250 || ids[0] != 1 || ids[249] != 250 {
		t.Errorf("%d dead letters: %v", len(ids), ids)
	}
	whole := decode[gateway.DeadLetterPage](w.call("GET", "/v1/deadletters?limit=250", "").want(200))
	if len(whole.DeadLetters) != 250 || whole.Next != 0 {
		t.Errorf("one page of exactly all: %d, next %d", len(whole.DeadLetters), whole.Next)
	}
	var unratable []uint64
	for _, d := range decode[gateway.DeadLetterPage](w.call("GET", "/v1/deadletters?reason=unratable", "").want(200)).DeadLetters {
		unratable = append(unratable, d.ID)
		if d.Size != len(fmt.Sprintf("body %d\xff", d.ID-1)) || d.Detail == "" || d.Sequence != d.ID {
			t.Errorf("summary %+v", d)
		}
	}
	if diff := cmp.Diff([]uint64{8, 108, 208}, unratable); diff != "" {
		t.Errorf("unratable (-want +got):\n%s", diff)
	}
	shown := decode[gateway.DeadLetter](w.call("GET", "/v1/deadletters/8", "").want(200))
	if string(shown.Body) != "body 7\xff" || shown.Text != "" || shown.Header["Ce-Id"][0] != "7" || shown.Header["Nats-Msg-Id"][0] != "m" {
		t.Errorf("shown %+v", shown)
	}
	w.bury(single(900, "invalid", "plain text", nil))
	text := decode[map[string]any](w.call("GET", "/v1/deadletters/251", "").want(200))
	if text["text"] != "plain text" || text["body_base64"] != base64.StdEncoding.EncodeToString([]byte("plain text")) {
		t.Errorf("shown %v", text)
	}
}

func TestAReplayPublishesWhatCameAndDeletesTheDeadLetter(t *testing.T) {
	t.Parallel()
	binary := map[string][]string{"ce-id": {"9"}, "traceparent": {"00-1"}, "Nats-Msg-Id": {"m"}}
	stray, homeless := event("subject", `"stray"`), event("subject", `"no account"`)
	strayPartition := events.Partition("stray", partitions)
	for name, c := range map[string]struct {
		letter      events.DeadLetter
		subject     string // in USAGE
		body        string
		contentType string
		header      map[string]string
	}{
		"an event published alone": {single(1, "unratable", event(), map[string][]string{"Content-Type": {structured}}),
			events.StoredUsageSubject(events.Partition("acme", partitions), "acme"), event(), structured, nil},
		"a binary event, without the headers NATS acts on": {single(1, "unratable", "{}", binary),
			events.StoredUsageSubject(events.Partition("acme", partitions), "acme"), "{}", "", map[string]string{"ce-id": "9", "traceparent": "00-1"}},
		"bytes that are nothing": {single(1, "malformed", "\xff\x00", nil),
			events.StoredUsageSubject(events.Partition("acme", partitions), "acme"), "\xff\x00", "", nil},
		"an event of a batch, to its own account": {ofBatch(3, structured, stray),
			events.StoredUsageSubject(strayPartition, "stray"), stray, structured, nil},
		"an event of a batch without an account, as a batch": {ofBatch(3, structured, homeless),
			"usage.batch.1", "[" + homeless + "]", batched, nil},
		"a batch that cannot be taken apart": {ofBatch(0, batched, `[{"id":`), "usage.batch.1", `[{"id":`, batched, nil},
		"an event sent as if it were a batch, to its own account": {ofBatch(0, batched, stray),
			events.StoredUsageSubject(strayPartition, "stray"), stray, structured, nil},
		"a batch that is no JSON": {ofBatch(0, batched, `hello`), "usage.batch.1", `hello`, batched, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			w.bury(c.letter)
			a := w.call("POST", "/v1/deadletters/replay", `{"ids":[1,77]}`).want(200)
			want := gateway.Replayed{Replayed: 1, NotFound: []uint64{77}}
			if diff := cmp.Diff(want, decode[gateway.Replayed](a)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			m, err := w.streams.Usage.GetMsg(t.Context(), 1)
			w.ok(err)
			if m.Subject != c.subject || string(m.Data) != c.body || m.Header.Get("Content-Type") != c.contentType {
				t.Errorf("stored on %s: %q %v; want on %s: %q %s", m.Subject, m.Data, m.Header, c.subject, c.body, c.contentType)
			}
			for name, value := range c.header {
				if m.Header.Get(name) != value {
					t.Errorf("header %s is %q, want %q", name, m.Header.Get(name), value)
				}
			}
			for name := range m.Header {
				if strings.HasPrefix(name, "Drawdown-") || strings.HasPrefix(name, "Nats-Msg-Id") {
					t.Errorf("header %s was published", name)
				}
			}
			w.call("GET", "/v1/deadletters/1", "").want(404)
		})
	}
}

func TestReplayChoosesByReasonOrAll(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 240 {
		w.bury(single(uint64(2*i+1), "unratable", event(), nil), single(uint64(2*i+2), "malformed", "x", nil))
	}
	replay := func(body string, want int) {
		t.Helper()
		got := decode[gateway.Replayed](w.call("POST", "/v1/deadletters/replay", body).want(200))
		if got.Replayed != want || got.Next != 0 {
			t.Errorf("%s: %+v; want %d", body, got, want)
		}
	}
	replay(`{"reason":"unratable","after":470}`, 5)
	replay(`{"reason":"unratable"}`, 235)
	replay(`{"reason":"unratable"}`, 0)
	replay(`{"all":true}`, 240)
	replay(`{"all":true}`, 0)
	if stored := w.stored(); len(stored) != 480 {
		t.Errorf("%d messages stored, want 480", len(stored))
	}
}

func TestADeadLetterIsKeptWhenItsReplayIsNotStored(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.bury(single(1, "unratable", event(), nil))
	w.ok(w.js.DeleteStream(t.Context(), events.StreamUsage))
	w.call("POST", "/v1/deadletters/replay", `{"all":true}`).want(503)
	w.call("GET", "/v1/deadletters/1", "").want(200)
}

func TestExplainFindsAnEventAmongTheDeadLettersWithoutClickHouse(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.bury(
		single(1, "unratable", event("id", `"structured"`), map[string][]string{"Content-Type": {structured}}),
		single(2, "too_late", "{}", map[string][]string{"ce-id": {"bin%20ary"}, "ce-source": {"/api"}}),
	)
	for id, reason := range map[string]string{"structured": "unratable", "bin%20ary": "too_late"} {
		got := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id="+id, "").want(200))
		if got.DeadLetter == nil || got.DeadLetter.Reason != reason {
			t.Errorf("%s: %+v, want %s", id, got, reason)
		}
	}
	w.call("GET", "/v1/explain?source=/other&id=structured", "").want(503)
}
