package clickhouse

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// installation is the one that every world belongs to.
const installation = "test"

// partitions of every world.
const partitions = 4

// waitMax is when a test gives up on something that must happen.
const waitMax = time.Minute

// world is a real LEDGER stream with random entries in it.
type world struct {
	t       testing.TB
	js      jetstream.JetStream
	broker  stream.Broker
	streams *stream.Streams
	random  *rand.Rand
	debits  int
	charges []*charge // that can be corrected
	// installation is what its projections say they belong to.
	installation string
	// all are the chunks written, in stream order.
	all []events.Chunk
	// stopped are the partitions that have no rows from a message on.
	stopped map[string]uint64
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	server := natstest.Run(t)
	js := server.JetStream()
	streams, broker := server.Installation(partitions)
	t.Logf("seed %d", seed)
	return &world{t: t, js: js, broker: broker, installation: installation, streams: streams, random: rand.New(rand.NewPCG(seed, 0))}
}

// write appends n random messages to LEDGER.
func (w *world) write(n int) {
	w.t.Helper()
	for range n {
		subject, chunk := w.chunk()
		body, err := events.EncodeChunk(chunk)
		if err != nil {
			w.t.Fatal(err)
		}
		ack, err := w.js.PublishMsg(context.Background(), &nats.Msg{Subject: subject, Data: body})
		if err != nil {
			w.t.Fatal(err)
		}
		w.all = append(w.all, chunk)
		if ack.Sequence != uint64(len(w.all)) {
			w.t.Fatalf("message %d stands at %d", len(w.all), ack.Sequence)
		}
		w.remember(chunk)
	}
}

// charge is what a usage event is charged, and by which entry.
type charge struct {
	account    string
	first, now events.LedgerPlace
	debit      events.Debit  // the first
	stands     *events.Debit // nil: the event is void
}

// remember notes the charges in the newest message.
func (w *world) remember(chunk events.Chunk) {
	for i, e := range chunk.Entries {
		at := events.LedgerPlace{Sequence: w.last(), Index: i, StoredAt: time.Now().UTC()}
		if e.Debit != nil && e.Debit.Amount <= events.MaxCredits {
			w.charges = append(w.charges, &charge{account: e.Account, first: at, now: at, debit: *e.Debit, stands: e.Debit})
		}
	}
}

// correction is a chunk that corrects a random charge, and where it stands; one of
// some corrects what does not stand, which the fold refuses.
func (w *world) correction() (subject string, chunk events.Chunk) {
	c := w.charges[w.random.IntN(len(w.charges))]
	e := &events.Correction{Source: c.debit.Source, ID: c.debit.ID, First: c.first, Corrects: c.now, Was: c.stands, Reason: "test"}
	if c.stands == nil || w.random.IntN(3) > 0 {
		now := c.debit
		now.Amount = w.amount()
		now.Data.Operation, now.Data.Project = fmt.Sprintf("GET /other/%d", w.random.IntN(3)), fmt.Sprintf("p%d", w.random.IntN(3))
		e.Now = &now
	}
	if wrong := c.first; c.now != c.first && w.random.IntN(3) == 0 {
		e.Corrects, e.Was = wrong, &c.debit
	} else {
		c.now, c.stands = events.LedgerPlace{Sequence: w.last() + 1, StoredAt: time.Now().UTC()}, e.Now
	}
	return events.CorrectionSubject(events.Partition(c.account, partitions), e.Source, e.ID),
		events.Chunk{Entries: []events.Entry{{Kind: events.EntryCorrection, Account: c.account, Correction: e}}}
}

// subjectOf is the subject of a message.
func (w *world) subjectOf(sequence uint64) string {
	w.t.Helper()
	m, err := w.streams.Ledger.GetMsg(w.t.Context(), sequence)
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Subject
}

// last is the sequence of the newest message.
func (w *world) last() uint64 { return uint64(len(w.all)) }

// chunk is one random message of one of the ledger's writers, and where it
// stands; some hold nothing to book.
func (w *world) chunk() (subject string, chunk events.Chunk) {
	if w.random.IntN(12) == 0 {
		terms := events.Terms{
			Period: "PT1M", Grant: &events.PlanGrant{Amount: w.amount() + 1000, Rollover: &events.Rollover{Min: 10, Max: 500}},
			Overage: events.OverageSoft, OverageLimit: new(w.amount() + 1), PreserveOverage: new(w.random.IntN(2) == 0),
		}
		return events.BroadcastSubject(), events.Chunk{Entries: []events.Entry{{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "p", Terms: terms}}}}
	}
	if len(w.charges) > 0 && w.random.IntN(8) == 0 {
		return w.correction()
	}
	account := fmt.Sprintf("account-%d", w.random.IntN(20))
	writer, entry, n := events.WriterUsage, w.usage, w.random.IntN(9)
	switch w.random.IntN(6) {
	case 0, 1:
		writer, entry, n = events.WriterCommand, w.command, 1+w.random.IntN(3)
	case 2:
		writer, entry, n = events.WriterClock, w.tick, 1+w.random.IntN(3)
	default:
		chunk.Span = &events.Span{Through: events.Position{Sequence: w.last() + 1}, Events: n}
	}
	partition := events.Partition(account, partitions)
	for len(chunk.Entries) < n {
		if events.Partition(account, partitions) == partition {
			chunk.Entries = append(chunk.Entries, entry(account))
		}
		account = fmt.Sprintf("account-%d", w.random.IntN(20))
	}
	return events.LedgerSubject(partition, writer), chunk
}

func (w *world) tick(account string) events.Entry {
	return events.Entry{Kind: events.EntryTick, Account: account}
}

func (w *world) command(account string) events.Entry {
	hold := fmt.Sprintf("h%d", w.random.IntN(20))
	switch w.random.IntN(8) {
	case 2:
		return events.Entry{Kind: events.EntryHold, Account: account, Hold: &events.Hold{ID: hold, Amount: w.amount() + 1, ExpiresIn: events.Duration(time.Duration(1+w.random.IntN(15)) * time.Millisecond)}}
	case 3:
		if w.random.IntN(3) == 0 {
			return events.Entry{Kind: events.EntryRelease, Account: account, Release: &events.Release{Hold: hold}}
		}
		return events.Entry{Kind: events.EntryCapture, Account: account, Capture: &events.Capture{Hold: hold, Amount: 1 + events.Credits(w.random.IntN(1000))}}
	case 0:
		return events.Entry{Kind: events.EntryVoid, Account: account, Void: &events.Void{Grant: fmt.Sprintf("g%d", w.random.IntN(50))}}
	case 1: // its period ends while the test runs, and sometimes the change waits for that
		set := events.Account{ID: account, Plan: "p", StartedAt: w.soon().Add(-time.Minute)}
		if w.random.IntN(3) == 0 {
			set.Change = events.ChangePeriodEnd
		}
		return events.Entry{Kind: events.EntryAccount, Account: account, Settings: &set}
	case 4:
		amount := w.amount() + 1
		if w.random.IntN(2) == 0 {
			amount = -amount
		}
		return events.Entry{Kind: events.EntryAdjust, Account: account, Adjust: &events.Adjustment{ID: fmt.Sprintf("a%d", w.random.IntN(9)), Amount: amount, Reason: "test"}}
	}
	g := events.Grant{ID: fmt.Sprintf("g%d", w.random.IntN(50)), Amount: 20*w.amount() + 1}
	switch w.random.IntN(4) { // expires, or recurs, while the test runs
	case 0, 1:
		g.ExpiresAt = w.soon()
	case 2:
		g.EffectiveAt, g.Recurrence = w.soon().Add(-time.Minute), "PT1M"
	}
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &g}
}

func (w *world) usage(account string) events.Entry {
	d := w.debit(time.Now().UTC())
	if w.random.IntN(50) == 0 {
		d.Amount = events.MaxCredits + 1 // the fold refuses it
	}
	return events.Entry{Kind: events.EntryDebit, Account: account, Debit: d}
}

func (w *world) debit(now time.Time) *events.Debit {
	w.debits++
	d := &events.Debit{
		Source: "/service/" + fmt.Sprint(w.random.IntN(3)), ID: fmt.Sprintf("event-%d", w.debits),
		Time:     now.Add(-time.Duration(w.random.Int64N(int64(40 * 365 * 24 * time.Hour)))).Truncate(time.Microsecond), // an import
		Position: events.Position{Sequence: uint64(w.debits), Index: w.random.IntN(3)},
		Amount:   w.amount(), Card: "default", Version: 1 + w.random.IntN(3), Rule: "some-rule", Arithmetic: "1 × 2 = 2",
		Data: events.UsageData{
			Operation: fmt.Sprintf("GET /thing/%d", w.random.IntN(7)), Status: 200 + w.random.IntN(300),
			Project: fmt.Sprintf("p%d", w.random.IntN(3)), Key: fmt.Sprintf("k%d", w.random.IntN(4)),
			Quantities: map[string]events.Quantity{"bytes": events.WholeQuantity(w.random.Int64N(1 << 40))},
		},
	}
	switch w.random.IntN(20) {
	case 0:
		d.Time = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) // before ClickHouse's calendar
	case 1:
		d.Time = time.Date(1931, 5, 6, 7, 8, 9, 123456000, time.UTC) // before the epoch
	case 2:
		d.Data.Quantities["tiny"] = events.MustQuantity("0.000000000001")
		d.Data.Quantities["huge"] = events.MustQuantity("999999999999999999")
		d.Data.Attributes = map[string]string{"b": "2", "a": "ü", "c": ""}
	case 3, 4, 5, 6:
		d.Time = now.Truncate(time.Microsecond)
	}
	return d
}

func (w *world) amount() events.Credits {
	return events.Credits(w.random.Int64N(int64(3 * events.Credit)))
}

// projection is a projection into dsn that cuts small batches.
func (w *world) projection(dsn string, rows int) *Projection {
	w.t.Helper()
	p, err := New(Config{
		DSN: dsn, Broker: w.broker, Installation: w.installation, Partitions: partitions, BatchRows: rows, FlushEvery: 5 * time.Millisecond, Logger: testLogger(w.t),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// run runs p until the returned function is called.
func run(t testing.TB, p *Projection) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// project runs a fresh projection until ClickHouse holds all of w.
func (w *world) project(dsn string, rows int) {
	w.t.Helper()
	w.finish(w.projection(dsn, rows))
}

// projectAtOnce projects all of w in one batch.
func (w *world) projectAtOnce(dsn string) {
	w.t.Helper()
	want := w.want()
	p := w.projection(dsn, int(want.postings)+want.nothing)
	p.config.FlushEvery = time.Hour
	w.finish(p)
}

func (w *world) finish(p *Projection) {
	w.t.Helper()
	stop := run(w.t, p)
	await(w.t, "the projection", func() bool { return p.Status().Through >= w.last() })
	stop()
}

// await waits until done, asking again and again.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(waitMax); !done(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func testLogger(t testing.TB) *slog.Logger {
	out := io.Discard
	if testing.Verbose() {
		out = t.Output()
	}
	return slog.New(slog.NewTextHandler(out, nil))
}

// soon is an instant while the test runs.
func (w *world) soon() time.Time {
	return time.Now().UTC().Add(time.Duration(1+w.random.IntN(15)) * time.Millisecond)
}
