package rater_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

const partitions = 4

// noon is when the tests' events happen.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// world is one installation on its own NATS server.
type world struct {
	testing.TB
	server  *natstest.Server
	js      jetstream.JetStream
	streams *stream.Streams
}

func newWorld(t testing.TB) *world {
	t.Helper()
	server := natstest.Run(t)
	js := server.JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return &world{TB: t, server: server, js: js, streams: streams}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// applyCard puts a version of the default card that charges flat per call into
// the catalog, as the projector does.
func (w *world) applyCard(version int, from time.Time, flat string) {
	w.Helper()
	price := events.MustQuantity(flat)
	w.putCard(events.RateCard{
		Card: events.DefaultCard, Version: version, EffectiveFrom: from,
		Rules: []events.Rule{{Name: "all", Match: events.Match{Operation: "GET **"}, Price: events.Price{Flat: &price}}},
	})
}

func (w *world) putCard(card events.RateCard) {
	w.Helper()
	body, err := json.Marshal(card)
	w.must(err)
	_, err = w.streams.Catalog.Put(w.Context(), fmt.Sprintf("ratecard.%s.%d", card.Card, card.Version), body)
	w.must(err)
}

// run starts a rater and returns a function that stops it and waits.
func (w *world) run(js jetstream.JetStream, c rater.Config) (r *rater.Rater, stop func()) {
	w.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(w.Context())
	r = rater.New(js, c)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("rater ended: %v", err)
		}
	})
	w.Cleanup(stop)
	return r, stop
}

func usage(account, id string) events.Usage {
	return events.Usage{Source: "/test", ID: id, Account: account, Time: noon, Data: events.UsageData{Operation: "GET /"}}
}

// publish sends u by itself and returns its sequence.
func (w *world) publish(u events.Usage) uint64 {
	w.Helper()
	body, err := events.AppendStructured(nil, u)
	w.must(err)
	return w.publishRaw(events.UsageSubject(u.Account), nil, body)
}

func (w *world) publishRaw(subject string, header nats.Header, body []byte) uint64 {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute) // 8 MiB take a while on a busy machine
	defer cancel()
	ack, err := w.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: body})
	w.must(err)
	return ack.Sequence
}

// publishBatch sends events of one partition together.
func (w *world) publishBatch(us ...events.Usage) uint64 {
	w.Helper()
	body, err := events.EncodeBatch(us)
	w.must(err)
	return w.publishRaw(events.BatchSubject(events.Partition(us[0].Account, partitions)),
		nats.Header{events.HeaderContentType: {events.ContentTypeBatch}}, body)
}

// accountOf returns the nth account of a partition.
func accountOf(partition, nth int) string {
	for i := 0; ; i++ {
		account := fmt.Sprintf("acct_%d", i)
		if events.Partition(account, partitions) == partition {
			if nth == 0 {
				return account
			}
			nth--
		}
	}
}

// settled is what one partition's ledger says.
type settled struct {
	spans  []events.Span
	debits map[string]events.Debit // by account and id
}

func (s settled) totals() (total events.Span) {
	for _, span := range s.spans {
		total.Events += span.Events
		total.Duplicates += span.Duplicates
		total.Rejected += span.Rejected
		total.Through = span.Through
	}
	return total
}

// settle waits until the partition's ledger settles n events, and fails when
// it settles more, charges an event twice, or goes backwards.
func (w *world) settle(partition, n int) settled {
	w.Helper()
	s := settled{debits: map[string]events.Debit{}}
	// A connection of its own: the world's may be reconnecting.
	ledger, err := w.server.JetStream().Stream(w.Context(), events.StreamLedger)
	w.must(err)
	reader, err := stream.Read(w.Context(), ledger, 0, events.LedgerSubject(partition, events.WriterUsage))
	w.must(err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	for pending := uint64(1); s.totals().Events < n || pending > 0; {
		m, err := reader.Next(ctx)
		if err != nil {
			w.Fatalf("partition %d settled %+v of %d events: %v", partition, s.totals(), n, err)
		}
		pending = m.Pending
		c, err := events.DecodeChunk(m.Data)
		w.must(err)
		before := s.totals().Through
		if now := c.Span.Through; now.Sequence < before.Sequence || now.Sequence == before.Sequence && now.Index <= before.Index {
			w.Fatalf("partition %d settles through %+v after %+v", partition, now, before)
		}
		s.spans = append(s.spans, *c.Span)
		for _, e := range c.Entries {
			key := e.Account + " " + e.Debit.ID
			if e.Debit.Source != "/test" {
				key += " " + e.Debit.Source
			}
			if _, twice := s.debits[key]; twice {
				w.Fatalf("event %s is charged twice", key)
			}
			s.debits[key] = *e.Debit
		}
	}
	if total := s.totals().Events; total != n {
		w.Fatalf("partition %d settled %d events, want %d", partition, total, n)
	}
	return s
}

// deadLetters returns everything in DEADLETTER.
func (w *world) deadLetters() []events.DeadLetter {
	w.Helper()
	info, err := w.streams.DeadLetter.Info(w.Context())
	w.must(err)
	letters := make([]events.DeadLetter, 0, info.State.Msgs)
	for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq && info.State.Msgs > 0; sequence++ {
		m, err := w.streams.DeadLetter.GetMsg(w.Context(), sequence)
		w.must(err)
		d, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
		w.must(err)
		letters = append(letters, d)
	}
	return letters
}

// faulty is a JetStream that breaks where a test says.
type faulty struct {
	jetstream.JetStream
	before func(*nats.Msg) error // instead of publishing
	after  func(*nats.Msg) error // instead of the ack
}

func (f *faulty) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if f.before != nil {
		if err := f.before(m); err != nil {
			return nil, err
		}
	}
	ack, err := f.JetStream.PublishMsg(ctx, m, opts...)
	if err == nil && f.after != nil {
		if err := f.after(m); err != nil {
			return nil, err
		}
	}
	return ack, err
}

// slowCatalog is a JetStream whose catalog is watched with a delay: changes
// arrive once somebody has asked for the last one.
type slowCatalog struct {
	jetstream.JetStream
	asked chan struct{}
	once  sync.Once
}

func (s *slowCatalog) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := s.JetStream.KeyValue(ctx, bucket)
	return slowBucket{kv, s}, err
}

func (s *slowCatalog) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	under, err := s.JetStream.Stream(ctx, name)
	if name == "KV_"+events.BucketCatalog {
		under = askedStream{under, s}
	}
	return under, err
}

type askedStream struct {
	jetstream.Stream
	slow *slowCatalog
}

func (s askedStream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	m, err := s.Stream.GetLastMsgForSubject(ctx, subject)
	s.slow.once.Do(func() { close(s.slow.asked) })
	return m, err
}

type slowBucket struct {
	jetstream.KeyValue
	slow *slowCatalog
}

func (b slowBucket) Watch(ctx context.Context, keys string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	watcher, err := b.KeyValue.Watch(ctx, keys, opts...)
	if err != nil {
		return nil, err
	}
	slow := slowWatcher{watcher, make(chan jetstream.KeyValueEntry)}
	go func() {
		defer close(slow.updates)
		for entry := range watcher.Updates() {
			if entry != nil {
				select {
				case <-b.slow.asked:
				case <-ctx.Done():
					return
				}
			}
			select {
			case slow.updates <- entry:
			case <-ctx.Done():
				return
			}
		}
	}()
	return slow, nil
}

type slowWatcher struct {
	jetstream.KeyWatcher
	updates chan jetstream.KeyValueEntry
}

func (w slowWatcher) Updates() <-chan jetstream.KeyValueEntry { return w.updates }

func (w *world) publishLedger(partition int, body string) uint64 {
	w.Helper()
	ack, err := w.js.Publish(w.Context(), events.LedgerSubject(partition, events.WriterUsage), []byte(body))
	w.must(err)
	return ack.Sequence
}

// await watches a rater until a partition is as it should be.
func (w *world) await(r *rater.Rater, partition int, good func(rater.Status) bool) rater.Status {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		for _, s := range r.Status() {
			if s.Partition == partition && good(s) {
				return s
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("partition %d is not as it should be: %+v", partition, r.Status())
		}
	}
}
