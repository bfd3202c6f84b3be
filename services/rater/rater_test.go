package rater_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

func TestUsageBecomesDebitsWithTheirExplanation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "0.25")
	w.run()
	account := accountOf(2, 0)
	single := w.publish(usage(account, "a"))
	batch := w.publishBatch(usage(account, "b"), usage(accountOf(2, 1), "c"))
	got := w.settle(2, 3)
	stored, err := w.streams.Usage.GetMsg(t.Context(), batch)
	w.must(err)
	want := events.Debit{
		Source: "/test", ID: "c", Time: noon, Data: events.UsageData{Operation: "GET /"},
		Position: events.Position{Sequence: batch, Index: 1, StoredAt: stored.Time},
		Amount:   events.MustCredits("0.25"), Card: "default", Version: 1, Rule: "all", Arithmetic: "0.25",
	}
	if diff := cmp.Diff(want, got.debits[accountOf(2, 1)+" c"]); diff != "" {
		t.Errorf("debit (-want +got):\n%s", diff)
	}
	if at := got.debits[account+" a"].Position; at.Sequence != single || at.Index != 0 {
		t.Errorf("first debit stands at %+v, want %d/0", at, single)
	}
	if diff := cmp.Diff(want.Position, got.totals().Through); diff != "" {
		t.Errorf("settled through (-want +got):\n%s", diff)
	}
}

func TestAnEventSentAgainCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	_, stop := w.run()
	account := accountOf(1, 0)
	a, b := usage(account, "a"), usage(account, "b")
	w.publish(a)
	w.publish(a)               // again, by itself
	w.publishBatch(b, b, a, b) // within one batch, and across messages
	if got := w.settle(1, 6).totals(); got.Duplicates != 4 {
		t.Errorf("settled %+v, want 4 duplicates", got)
	}
	stop()
	w.run()
	w.publish(a) // after a restart
	other := a
	other.Source = "/other" // the same id of another source is another event
	w.publish(other)
	if got := w.settle(1, 8).totals(); got.Duplicates != 5 {
		t.Errorf("settled %+v, want 5 duplicates", got)
	}
}

func TestASeriesOfRestartsSettlesEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	account := accountOf(0, 0)
	sent := 0
	for round := range 5 {
		var batch []events.Usage
		for i := range 700 { // beyond one chunk in total, and cut anywhere
			batch = append(batch, usage(account, fmt.Sprint(round, "-", i)))
		}
		w.publishBatch(batch...)
		w.publishBatch(batch[:100]...)
		sent += 800
		_, stop := w.run()
		w.settle(0, sent)
		stop()
	}
	if got := w.settle(0, sent); len(got.debits) != 5*700 || got.totals().Duplicates != 500 {
		t.Errorf("%d debits, %+v; want 3500 and 500 duplicates", len(got.debits), got.totals())
	}
}

func TestABatchCutInTheMiddleGoesOnBehindTheCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	const total = 2500 // three chunks of one message
	var batch []events.Usage
	for i := range total {
		batch = append(batch, usage(accountOf(0, 0), fmt.Sprint(i)))
	}
	w.publishBatch(batch...)
	second := make(chan struct{}, 100)
	appends := 0
	stop := w.start(rater.Config{Share: of(0), Broker: &faulty{Broker: w.broker, before: func(stream.Append) error {
		if appends++; appends == 1 {
			return nil
		}
		second <- struct{}{}
		return errors.New("cut")
	}}})
	<-second
	stop()
	w.run(0)
	if got := w.settle(0, total); len(got.debits) != total || len(got.spans) < 3 {
		t.Errorf("%d debits in %d chunks, want %d in at least 3", len(got.debits), len(got.spans), total)
	}
}

func TestTwoRatersOfOnePartitionChargeEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	w.run(3)
	w.start(rater.Config{Share: of(3), Broker: w.connect()})
	const total = 600
	for i := range total {
		w.publish(usage(accountOf(3, i%5), fmt.Sprint(i)))
	}
	if got := w.settle(3, total); len(got.debits) != total || got.totals().Duplicates != 0 {
		t.Errorf("%d debits, %+v; want %d and no duplicates", len(got.debits), got.totals(), total)
	}
}

func TestEachCrashAroundAnAppendChargesAndKeepsOnce(t *testing.T) {
	t.Parallel()
	errCut := errors.New("cut")
	for name, breaks := range map[string]func(cut func(stream.Append) error) *faulty{
		"between the dead letter and the append": func(cut func(stream.Append) error) *faulty { return &faulty{before: cut} },
		"between the append and its ack":         func(cut func(stream.Append) error) *faulty { return &faulty{after: cut} },
	} {
		for _, restart := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restart), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.applyCard(1, time.Time{}, "1")
				account := accountOf(1, 0)
				bad := usage(account, "bad")
				bad.Data.Operation = "DELETE /" // no rule
				w.publishBatch(usage(account, "a"), bad, usage(account, "b"))

				appended := make(chan struct{}, 100)
				remaining := 2
				broken := breaks(func(stream.Append) error {
					appended <- struct{}{}
					if remaining--; remaining < 0 {
						return nil
					}
					return errCut
				})
				broken.Broker = w.connect()
				stop := w.start(rater.Config{Share: of(1), Broker: broken})
				<-appended
				if restart {
					stop()
					w.run(1)
				}
				w.publish(usage(account, "c"))
				got := w.settle(1, 4)
				if len(got.debits) != 3 || got.totals().Rejected != 1 || got.totals().Duplicates != 0 {
					t.Errorf("%d debits, %+v; want 3 and 1 rejected", len(got.debits), got.totals())
				}
				if letters := w.deadLetters(); len(letters) != 1 || letters[0].Index != 1 {
					t.Errorf("dead letters %+v, want the one event at index 1", letters)
				}
			})
		}
	}
}

func TestBadEventsAreKeptOnceWithReasonAndBytesAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	account := accountOf(0, 0)
	subject := events.UsageSubject(account)
	good, err := events.AppendStructured(nil, usage(account, "good"))
	w.must(err)
	edit := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
	future := usage(account, "future")
	future.Time = time.Now().Add(time.Hour)
	inFuture, err := events.AppendStructured(nil, future)
	w.must(err)
	stray, err := events.AppendStructured(nil, usage(accountOf(1, 0), "stray"))
	w.must(err)
	overflow := usage(account, "overflow")
	overflow.Data = events.UsageData{Operation: "GET /", Quantities: map[string]events.Quantity{"pages": events.MustQuantity("999999999999")}}
	million := events.MustQuantity("1000000")
	w.putCard(events.RateCard{Card: "default", Version: 2, Rules: []events.Rule{
		{Name: "all", Match: events.Match{Operation: "GET **"}, Price: events.Price{PerUnit: []events.PerUnit{{Quantity: "pages", Price: million}}}},
	}})
	tooDear, err := events.AppendStructured(nil, overflow)
	w.must(err)
	batch := nats.Header{events.HeaderContentType: {events.ContentTypeBatch}}

	cases := []struct {
		name    string
		subject string
		header  nats.Header
		body    []byte
		reason  string
	}{
		{"not JSON", subject, nil, []byte("hello"), events.CodeMalformed},
		{"an empty body", subject, nil, nil, events.CodeMalformed},
		{"bytes that are not UTF-8", subject, nil, edit("GET /", "GET \xff"), events.CodeMalformed},
		{"a key given twice", subject, nil, edit(`"id":"good"`, `"id":"good","id":"good"`), events.CodeMalformed},
		{"no operation", subject, nil, edit(`"operation":"GET /"`, ``), events.CodeMissing},
		{"a negative quantity", subject, nil, edit(`"operation":"GET /"`, `"operation":"GET /","quantities":{"a":-1}`), events.CodeInvalid},
		{"an unknown type", subject, nil, edit(events.TypeUsage, "drawdown.usage.v9"), events.CodeUnknownType},
		{"another account than the subject's", events.UsageSubject(accountOf(0, 1)), nil, good, events.CodeAccountMismatch},
		{"a time far ahead", subject, nil, inFuture, events.CodeFuture},
		{"2 MiB", subject, nil, make([]byte, 2<<20), events.CodeTooLarge},
		{"no rule that matches", subject, nil, edit("GET /", "POST /"), events.CodeUnratable},
		{"a charge beyond credits", subject, nil, tooDear, events.CodeOverflow},
		{"binary mode without attributes", subject, nats.Header{"ce-id": {"x"}, "Content-Type": {"application/json"}, "X-Trace": {"7"}}, []byte(`{"operation":"GET /"}`), events.CodeMissing},
		{"a batch that is no array", events.BatchSubject(0), batch, []byte(`{}`), events.CodeMalformed},
		{"a stray in a batch", events.BatchSubject(0), batch, []byte("[" + string(stray) + "]"), events.CodeStray},
	}
	want := make([]events.DeadLetter, len(cases))
	for i, tc := range cases {
		body, header := tc.body, map[string][]string(tc.header)
		if tc.reason == events.CodeStray {
			body, header = stray, map[string][]string{events.HeaderContentType: {events.ContentTypeEvent}}
		}
		sequence := w.publishRaw(tc.subject, tc.header, tc.body)
		stored, err := w.streams.Usage.GetMsg(t.Context(), sequence)
		w.must(err)
		want[i] = events.DeadLetter{
			ID: uint64(i + 1), Reason: tc.reason, Subject: stored.Subject, Sequence: sequence, StoredAt: stored.Time.UTC(),
			Header: header, Body: body,
		}
	}
	w.publish(usage(account, "good"))
	registry := prometheus.NewPedanticRegistry()
	held := of()
	stop := w.start(rater.Config{Share: held, Metrics: registry})
	got := w.settle(0, len(cases)+1)
	w.await(held, 0, func(r lease.Report) bool { return r.Sequence == got.totals().Through.Sequence })
	if len(got.debits) != 1 || got.totals().Rejected != len(cases) {
		t.Errorf("%d debits, %+v; want 1 and %d rejected", len(got.debits), got.totals(), len(cases))
	}
	stop()
	letters := w.deadLetters()
	options := cmp.Options{cmpopts.IgnoreFields(events.DeadLetter{}, "Detail", "Body"), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, letters, options); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	for i, d := range letters {
		if d.Detail == "" {
			t.Errorf("%s: no detail", cases[i].name)
		}
		if !bytes.Equal(d.Body, want[i].Body) {
			t.Errorf("%s: kept %.64q, want %.64q", cases[i].name, d.Body, want[i].Body)
		}
	}
	counted, err := testutil.GatherAndCount(registry, "drawdown_rater_dead_letters_total")
	if w.must(err); counted != 10 {
		t.Errorf("%d reasons counted, want 10", counted)
	}
}

func TestAnEventThatFillsAMessageIsKeptWithWhatFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	w.run()
	account := accountOf(0, 0)
	whole := int(w.js.Conn().MaxPayload())
	large := nats.Header{"X-Trace": {strings.Repeat("x", 65_500)}}
	many := nats.Header{} // each larger on the dead letter
	for i := range 2500 {
		many[fmt.Sprintf("Nats-%04d", i)] = []string{"0123456789"}
	}
	for _, c := range []struct {
		name       string
		header     nats.Header
		size, kept int
	}{
		{name: "a body", size: whole, kept: whole - 4096},
		{name: "a header", header: large, size: 8, kept: 8},
		{name: "a header and a body", header: large, size: whole - 66_000, kept: whole - 66_000},
		{name: "many headers", header: many, size: 8, kept: 8},
	} {
		sequence := w.publishRaw(events.UsageSubject(account), c.header, bytes.Repeat([]byte("x"), c.size))
		w.publish(usage(account, c.name))
		if got := w.settle(0, int(sequence)+1); len(got.debits) != int(sequence+1)/2 {
			t.Errorf("%s: %d debits", c.name, len(got.debits))
		}
		letters := w.deadLetters()
		d := letters[len(letters)-1]
		if d.Sequence != sequence || len(d.Body) < c.kept || !strings.Contains(d.Detail, fmt.Sprintf("sequence %d of USAGE", sequence)) {
			t.Errorf("%s: of message %d %d bytes are kept, %q; want %d of message %d", c.name, d.Sequence, len(d.Body), d.Detail, c.kept, sequence)
		}
	}
}

// Clients of NATS take an empty message with a Status for a word of the server.
func TestAnEventThatLooksLikeAWordOfTheServerIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	w.run()
	account := accountOf(0, 0)
	header := nats.Header{"Status": {"404"}, "Description": {"No Messages"}}
	w.publishRaw(events.UsageSubject(account), header, nil)
	w.publish(usage(account, "next"))
	if got := w.settle(0, 2); len(got.debits) != 1 {
		t.Errorf("%d debits, want 1", len(got.debits))
	}
	letters, err := w.streams.DeadLetter.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	w.must(err)
	read, err := letters.Next(jetstream.FetchContext(t.Context()))
	w.must(err)
	kept, err := events.ParseDeadLetter(read.Headers(), read.Data(), 1)
	w.must(err)
	if diff := cmp.Diff(map[string][]string(header), kept.Header); diff != "" {
		t.Errorf("its header (-want +got):\n%s", diff)
	}
}

func TestARateCardIsSwappedWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	account := accountOf(0, 0)
	w.publish(usage(account, "before any card"))
	w.settle(0, 1)
	w.applyCard(1, noon.Add(-time.Hour), "1")
	w.publish(usage(account, "first")) // at once: the rater must not miss the card
	w.settle(0, 2)
	w.applyCard(2, noon, "2")
	early := usage(account, "second, before its time")
	early.Time = noon.Add(-time.Nanosecond)
	tooEarly := usage(account, "before all")
	tooEarly.Time = noon.Add(-2 * time.Hour)
	// The swap is seen when an event that only the new version rates is rated.
	w.putCard(events.RateCard{Card: "default", Version: 3, EffectiveFrom: noon.Add(time.Hour), Rules: []events.Rule{
		{Name: "posts", Match: events.Match{Operation: "POST /"}, Price: events.Price{Flat: ptr(events.MustQuantity("3"))}},
	}})
	later := usage(account, "third")
	later.Time, later.Data.Operation = noon.Add(time.Hour), "POST /"
	w.publish(later)
	w.settle(0, 3)
	w.publishBatch(early, usage(account, "second"), tooEarly)
	got := w.settle(0, 6)
	for id, version := range map[string]int{"first": 1, "third": 3, "second": 2, "second, before its time": 1} {
		if d := got.debits[account+" "+id]; d.Version != version {
			t.Errorf("%q is rated by version %d (%s), want %d", id, d.Version, d.Amount, version)
		}
	}
	var unrated []string
	for _, d := range w.deadLetters() {
		unrated = append(unrated, d.Reason)
	}
	if diff := cmp.Diff([]string{events.CodeUnratable, events.CodeUnratable}, unrated); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestACardAppliedBeforeAnEventIsNeverMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The watch of the catalog stands still until the rater asks what it misses.
	held := of(0)
	w.start(rater.Config{Share: held, Broker: &slowCatalog{Broker: w.broker, asked: make(chan struct{})}})
	w.await(held, 0, func(r lease.Report) bool { return r.State == lease.StateLive })
	w.applyCard(1, time.Time{}, "1")
	w.publish(usage(accountOf(0, 0), "a"))
	if got := w.settle(0, 1); len(got.debits) != 1 {
		t.Errorf("%d debits, want 1; dead letters: %+v", len(got.debits), w.deadLetters())
	}
}

func ptr[T any](v T) *T { return &v }

func TestAReplayedDeadLetterIsChargedOnceAfterTheFix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	account := accountOf(0, 0)
	w.publishBatch(usage(account, "a"))
	w.settle(0, 1)
	letters := w.deadLetters()
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	w.applyCard(1, time.Time{}, "1")
	for range 2 {
		w.publishRaw(events.UsageSubject(account), letters[0].Header, letters[0].Body)
	}
	if got := w.settle(0, 3); len(got.debits) != 1 || got.totals().Duplicates != 1 {
		t.Errorf("%d debits, %+v; want one, and one duplicate", len(got.debits), got.totals())
	}
}

func TestARaterOutlivesTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	w.run()
	account := accountOf(2, 0)
	for round := range 3 {
		for i := range 50 {
			w.publish(usage(account, fmt.Sprint(round, "-", i)))
		}
		w.server.Restart()
		w.js = w.server.JetStream() // the rater keeps the old connection
	}
	if got := w.settle(2, 150); len(got.debits) != 150 {
		t.Errorf("%d debits, want 150", len(got.debits))
	}
}

func TestACorruptLedgerStopsItsPartitionAlone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not a chunk":   "hello",
		"without span":  `{"entries":[{"kind":"tick","account":"a"}]}`,
		"with a tick":   `{"span":{"through":{"sequence":1},"events":0},"entries":[{"kind":"tick","account":"a"}]}`,
		"going nowhere": `{"span":{"through":{"sequence":0},"events":0}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.applyCard(1, time.Time{}, "1")
			bad := w.publishLedger(1, body)
			held, _ := w.run(0, 1)
			w.publish(usage(accountOf(1, 0), "a"))
			w.publish(usage(accountOf(0, 0), "a"))
			w.settle(0, 1)
			r := w.await(held, 1, func(r lease.Report) bool { return r.State == lease.StateStopped })
			if want := fmt.Sprintf("message %d of stream LEDGER: ", bad); !strings.HasPrefix(r.Error, want) {
				t.Errorf("stopped by %q, want it to begin with %q", r.Error, want)
			}
		})
	}
}

func TestAUsageStreamThatLostItsTailIsNoticed(t *testing.T) {
	t.Parallel()
	chunk := func(sequence uint64, at time.Time) string {
		return fmt.Sprintf(`{"span":{"through":{"sequence":%d,"stored_at":%q},"events":1,"rejected":1}}`, sequence, at.Format(time.RFC3339Nano))
	}
	for name, tc := range map[string]struct {
		sequence uint64
		want     string
	}{
		"the message is another": {1, "message 1 of stream USAGE was stored at "},
		"the stream ends before": {7, "stream USAGE ends at 1; expected message 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(usage(accountOf(1, 0), "a"))
			w.publishLedger(1, chunk(tc.sequence, noon))
			held, _ := w.run(1, 2)
			r := w.await(held, 1, func(r lease.Report) bool { return r.State == lease.StateStopped })
			if !strings.HasPrefix(r.Error, tc.want) {
				t.Errorf("stopped by %q, want it to begin with %q", r.Error, tc.want)
			}
			w.await(held, 2, func(r lease.Report) bool { return r.State == lease.StateLive })
		})
	}
}

func TestARaterThatIsToldOfNoPartitionsSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := rater.New(rater.Config{Broker: w.broker}).Run(t.Context()); err == nil {
		t.Error("Run returned nil, want an error")
	}
}
