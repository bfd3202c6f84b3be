package rater_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

const partitions = 4

// noon is when the tests' events happen: not long ago, for none is too late.
var noon = time.Now().UTC().Add(-time.Hour).Truncate(time.Second)

// world is one installation on its own NATS server.
type world struct {
	testing.TB
	server  *natstest.Server
	js      jetstream.JetStream
	broker  stream.Broker
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
	w := &world{TB: t, server: server, js: js, streams: streams}
	w.broker = w.connect()
	return w
}

// connect returns a broker with a connection of its own.
func (w *world) connect() stream.Broker {
	w.Helper()
	broker, err := stream.NewBroker(w.server.Connect())
	w.must(err)
	return broker
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

// share gives a rater the partitions that a test chose, and shows their
// reports.
type share []*lease.Held

// of returns a share of partitions; none means all.
func of(chosen ...int) share {
	if len(chosen) == 0 {
		for n := range partitions {
			chosen = append(chosen, n)
		}
	}
	s := make(share, len(chosen))
	for i, n := range chosen {
		s[i] = &lease.Held{Partition: n}
	}
	return s
}

func (s share) Run(ctx context.Context, work lease.Work) error {
	var running sync.WaitGroup
	for _, held := range s {
		running.Go(func() { work(ctx, held) })
	}
	running.Wait()
	return nil
}

// start runs a rater of some partitions on a broker of the test's, and returns
// a function that stops it and waits.
func (w *world) start(c rater.Config) (stop func()) {
	w.Helper()
	c.Partitions = partitions
	if c.Broker == nil {
		c.Broker = w.broker
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(w.Context())
	r := rater.New(c)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("rater ended: %v", err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// run rates partitions, all when none is named.
func (w *world) run(chosen ...int) (s share, stop func()) {
	w.Helper()
	s = of(chosen...)
	return s, w.start(rater.Config{Share: s})
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
	reader, err := w.connect().Log(events.StreamLedger).Read(w.Context(), stream.From{}, events.LedgerSubject(partition, events.WriterUsage))
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

// faulty is a broker that breaks appends to the ledger where a test says.
type faulty struct {
	stream.Broker
	before func(stream.Append) error // instead of appending
	after  func(stream.Append) error // instead of the ack
}

func (f *faulty) Log(name string) stream.Log {
	log := f.Broker.Log(name)
	if name == events.StreamLedger {
		return faultyLog{log, f}
	}
	return log
}

type faultyLog struct {
	stream.Log
	faulty *faulty
}

func (l faultyLog) Append(ctx context.Context, a stream.Append) (uint64, error) {
	if l.faulty.before != nil {
		if err := l.faulty.before(a); err != nil {
			return 0, err
		}
	}
	sequence, err := l.Log.Append(ctx, a)
	if err == nil && l.faulty.after != nil {
		if err := l.faulty.after(a); err != nil {
			return 0, err
		}
	}
	return sequence, err
}

// slowCatalog is a broker whose catalog is read with a delay: what was put
// arrives once somebody has asked for the last card for the second time; the
// first time, the rater starts.
type slowCatalog struct {
	stream.Broker
	asked chan struct{}
	times atomic.Int32
}

func (s *slowCatalog) Log(name string) stream.Log {
	log := s.Broker.Log(name)
	if name == "KV_"+events.BucketCatalog {
		return slowLog{log, s}
	}
	return log
}

type slowLog struct {
	stream.Log
	slow *slowCatalog
}

func (l slowLog) Last(ctx context.Context, subject string) (stream.Message, bool, error) {
	m, ok, err := l.Log.Last(ctx, subject)
	if l.slow.times.Add(1) == 2 {
		close(l.slow.asked)
	}
	return m, ok, err
}

func (l slowLog) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	reader, err := l.Log.Read(ctx, from, subjects...)
	if err != nil {
		return nil, err
	}
	delayed, closed := make(chan stream.Message), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-l.slow.asked:
		case <-closed:
			return
		}
		for {
			select {
			case m := <-reader.Messages():
				select {
				case delayed <- m:
				case <-closed:
					return
				}
			case <-closed:
				return
			}
		}
	})
	return stream.NewReader(delayed, func() {
		close(closed)
		running.Wait()
		reader.Close()
	}), nil
}

func (w *world) publishLedger(partition int, body string) uint64 {
	w.Helper()
	ack, err := w.js.Publish(w.Context(), events.LedgerSubject(partition, events.WriterUsage), []byte(body))
	w.must(err)
	return ack.Sequence
}

// await watches the reports on a partition until they are as they should be.
func (w *world) await(s share, partition int, good func(lease.Report) bool) lease.Report {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		for _, held := range s {
			if r := held.Last(); held.Partition == partition && good(r) {
				return r
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			for _, held := range s {
				w.Errorf("partition %d: %+v", held.Partition, held.Last())
			}
			w.Fatalf("partition %d is not as it should be", partition)
		}
	}
}
