package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// message is LEDGER message number sequence, recorded at t, with n debits.
func message(t testing.TB, sequence uint64, at time.Time, n int) stream.Message {
	t.Helper()
	chunk := events.Chunk{Span: &events.Span{Through: events.Position{Sequence: sequence}, Events: n}}
	for i := range n {
		chunk.Entries = append(chunk.Entries, events.Entry{Kind: events.EntryDebit, Account: "a", Debit: &events.Debit{
			Source: "s", ID: fmt.Sprintf("%d-%d", sequence, i), Time: at, Data: events.UsageData{Operation: "o"}, Amount: events.Credit,
		}})
	}
	body, err := events.EncodeChunk(chunk)
	if err != nil {
		t.Fatal(err)
	}
	return stream.Message{Subject: events.LedgerSubject(0, events.WriterUsage), Data: body, Sequence: sequence, Time: at}
}

// cut runs the messages through a filler and returns the batches it hands over.
func cut(t testing.TB, c cutter, next uint64, messages ...stream.Message) ([]string, error) {
	t.Helper()
	p := &Projection{config: Config{FlushEvery: time.Hour}, status: newStatus()}
	in := make(chan stream.Message, len(messages))
	for _, m := range messages {
		in <- m
	}
	f := &filler{projection: p, messages: in, folder: newFolder(manifest{}, partitions), snapshots: &snapshots{}, next: next, cutter: c}
	ctx, cancel := context.WithCancel(t.Context())
	full, free, done := make(chan *batch), make(chan *batch, 1), make(chan error, 1)
	free <- newBatch()
	go func() { done <- f.run(ctx, full, free) }()
	defer cancel()
	var out []string
	last := messages[len(messages)-1].Sequence
	for {
		select {
		case b := <-full:
			out = append(out, fmt.Sprintf("%s: %d ledger, %d usage", b.span, b.ledger.rows(), b.usage.rows()))
			end := b.span.Last == last
			b.reset()
			free <- b
			if end {
				cancel()
				return out, ignoreCancel(<-done)
			}
		case err := <-done:
			return out, err
		}
	}
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func TestWhereABatchEnds(t *testing.T) {
	t.Parallel()
	may := time.Date(2026, 5, 31, 23, 59, 59, 999999000, time.UTC)
	june := may.Add(time.Microsecond)
	many := limits{rows: 1000, bytes: 1 << 20}
	for name, c := range map[string]struct {
		cutter   cutter
		next     uint64
		messages []stream.Message
		want     []string
		diverged bool
	}{
		"with the message that fills its rows": {
			cutter: cutter{limits: limits{rows: 4, bytes: 1 << 20}}, next: 1,
			messages: []stream.Message{message(t, 1, may, 3), message(t, 2, may, 3), message(t, 3, may, 4)},
			want:     []string{"1-2: 6 ledger, 6 usage", "3-3: 4 ledger, 4 usage"},
		},
		"with the message that fills its bytes": {
			cutter: cutter{limits: limits{rows: 1000, bytes: 1}}, next: 1,
			messages: []stream.Message{message(t, 1, may, 1), message(t, 2, may, 0)},
			want:     []string{"1-1: 1 ledger, 1 usage", "2-2: 1 ledger, 0 usage"},
		},
		"before the first message of another month": {
			cutter: cutter{limits: limits{rows: 3, bytes: 1 << 20}}, next: 1,
			messages: []stream.Message{message(t, 1, may, 1), message(t, 2, may, 1), message(t, 3, june, 1), message(t, 4, may, 3)},
			want:     []string{"1-2: 2 ledger, 2 usage", "3-3: 1 ledger, 1 usage", "4-4: 3 ledger, 3 usage"},
		},
		"where it ended when it was sent before": {
			cutter: cutter{limits: limits{rows: 3, bytes: 1 << 20}, promised: []promise{{Span{2, 4}, 6, -1}, {Span{5, 5}, -1, 0}}}, next: 2,
			messages: []stream.Message{message(t, 1, may, 1), message(t, 2, may, 1), message(t, 3, may, 4), message(t, 4, may, 1), message(t, 5, may, 0), message(t, 6, may, 3)},
			want:     []string{"2-4: 6 ledger, 6 usage", "5-5: 1 ledger, 0 usage", "6-6: 3 ledger, 3 usage"},
		},
		"nowhere, when the ledger rows are not those that were sent": {
			cutter: cutter{limits: many, promised: []promise{{Span{1, 1}, 2, -1}}}, next: 1,
			messages: []stream.Message{message(t, 1, may, 1)}, diverged: true,
		},
		"nowhere, when the usage rows are not those that were sent": {
			cutter: cutter{limits: many, promised: []promise{{Span{1, 1}, -1, 2}}}, next: 1,
			messages: []stream.Message{message(t, 1, may, 1)}, diverged: true,
		},
		"nowhere, when a message is missing": {
			cutter: cutter{limits: many}, next: 1,
			messages: []stream.Message{message(t, 1, may, 1), message(t, 3, may, 1)}, diverged: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cut(t, c.cutter, c.next, c.messages...)
			if errors.Is(err, ErrDiverged) != c.diverged || (err != nil && !c.diverged) {
				t.Fatalf("error %v, want divergence %t", err, c.diverged)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABatchIsOnePartAlsoWhereMonthsMeet(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC)
	in := make(chan stream.Message, 100)
	for i := range 100 {
		in <- message(t, uint64(i+1), at.Add(time.Duration(i)*24*time.Hour), 3)
	}
	p, err := New(Config{DSN: dsn, Partitions: partitions, FlushEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()
	if _, err := p.store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &filler{projection: p, messages: in, folder: newFolder(manifest{}, partitions), snapshots: &snapshots{}, next: 1, cutter: cutter{limits: defaultLimits}}
	w := &writer{projection: p, manifest: &agreement{}, asked: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	full, free, done := make(chan *batch), make(chan *batch, 1), make(chan error, 1)
	free <- newBatch()
	go func() { done <- f.run(ctx, full, free) }()
	for last := uint64(0); last < 100; {
		b := <-full
		last = b.span.Last
		b.seal()
		if err := w.send(t.Context(), b, 0); err != nil {
			t.Fatal(err)
		}
		b.reset()
		free <- b
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	conn := enginetest.Connect(t, dsn)
	var months, parts, torn uint64
	scan(t, conn, "SELECT uniqExact(toYYYYMM(recorded_at)) FROM ledger", &months)
	scan(t, conn, "SELECT uniqExact(partition) FROM system.parts WHERE database = currentDatabase() AND table = 'ledger' AND active", &parts)
	scan(t, conn, "SELECT count() FROM (SELECT batch_first FROM ledger GROUP BY batch_first HAVING uniqExact(toYYYYMM(recorded_at)) > 1)", &torn)
	if months != 5 || parts != 5 || torn != 0 {
		t.Errorf("%d months in %d partitions, %d batches in more than one; want 5, 5, 0", months, parts, torn)
	}
	if found := reconcile(t, conn); len(found) > 0 {
		t.Errorf("reconciliation finds %v", found)
	}
}

func TestWhatIsSentAgainFollowsFromWhatTheTablesHold(t *testing.T) {
	t.Parallel()
	at := func(first, last uint64, rows int) Held { return Held{Span: Span{first, last}, Rows: rows} }
	of := func(first, last uint64, ledger, usage int) agreed {
		return agreed{Span: Span{first, last}, LedgerRows: ledger, UsageRows: usage}
	}
	later := manifest{Previous: of(5, 9, 20, 7), Newest: of(10, 12, 5, 3)}
	quiet := manifest{Previous: of(5, 9, 20, 7), Newest: of(10, 12, 5, 0)}
	first := manifest{Newest: of(1, 4, 9, 7)}
	for name, c := range map[string]struct {
		manifest manifest
		position position
		want     []promise
		next     uint64
		diverged bool
	}{
		"nothing, when there is nothing":               {next: 1},
		"the first usage events without ledger":        {position: position{usage: at(1, 4, 7)}, want: []promise{{Span{1, 4}, -1, 7}}, next: 1},
		"the newest batch of both":                     {position: position{ledger: at(5, 9, 20), usage: at(5, 9, 7)}, want: []promise{{Span{5, 9}, 20, 7}}, next: 5},
		"the newest batch, which has no usage events":  {position: position{ledger: at(5, 9, 20), usage: at(2, 4, 7)}, want: []promise{{Span{5, 9}, 20, -1}}, next: 5},
		"a ledger that never had usage events":         {position: position{ledger: at(5, 9, 20)}, want: []promise{{Span{5, 9}, 20, -1}}, next: 5},
		"and then the one only usage_events has":       {position: position{ledger: at(5, 9, 20), usage: at(10, 12, 3)}, want: []promise{{Span{5, 9}, 20, -1}, {Span{10, 12}, -1, 3}}, next: 5},
		"nothing, when usage_events begins elsewhere":  {position: position{ledger: at(5, 9, 20), usage: at(6, 9, 3)}, diverged: true},
		"nothing, when usage_events leaves a gap":      {position: position{ledger: at(5, 9, 20), usage: at(11, 12, 3)}, diverged: true},
		"nothing, when usage_events overlaps":          {position: position{ledger: at(5, 9, 20), usage: at(8, 12, 3)}, diverged: true},
		"nothing, when usage events precede no ledger": {position: position{usage: at(2, 4, 7)}, diverged: true},

		"what was agreed on, before any of it is there":                        {manifest: later, position: position{ledger: at(5, 9, 20), usage: at(5, 9, 7)}, want: []promise{{Span{10, 12}, 5, 3}}, next: 10},
		"what was agreed on, with its usage events there":                      {manifest: later, position: position{ledger: at(5, 9, 20), usage: at(10, 12, 3)}, want: []promise{{Span{10, 12}, 5, 3}}, next: 10},
		"what was agreed on, with all of it there":                             {manifest: later, position: position{ledger: at(10, 12, 5), usage: at(10, 12, 3)}, want: []promise{{Span{10, 12}, 5, 3}}, next: 10},
		"what was agreed on, which has no usage events":                        {manifest: quiet, position: position{ledger: at(10, 12, 5), usage: at(5, 9, 7)}, want: []promise{{Span{10, 12}, 5, 0}}, next: 10},
		"the first that was agreed on, in an empty database":                   {manifest: first, want: []promise{{Span{1, 4}, 9, 7}}, next: 1},
		"the first that was agreed on, and what an old one had":                {manifest: first, position: position{ledger: at(1, 4, 9), usage: at(5, 6, 2)}, want: []promise{{Span{1, 4}, 9, 7}, {Span{5, 6}, -1, 2}}, next: 1},
		"what the tables hold, after the streams lost the end of the manifest": {manifest: later, position: position{ledger: at(13, 20, 8), usage: at(13, 20, 4)}, want: []promise{{Span{13, 20}, 8, 4}}, next: 13},
		"nothing, when what was agreed on before is gone":                      {manifest: later, position: position{ledger: at(2, 4, 8), usage: at(2, 4, 4)}, diverged: true},
		"nothing, when the tables are empty":                                   {manifest: later, diverged: true},
		"nothing, when the usage events are gone":                              {manifest: later, position: position{ledger: at(10, 12, 5), usage: at(5, 9, 7)}, diverged: true},
		"nothing, when usage events are there that should not":                 {manifest: quiet, position: position{ledger: at(10, 12, 5), usage: at(10, 12, 7)}, diverged: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.position.promises(c.manifest)
			if errors.Is(err, ErrDiverged) != c.diverged {
				t.Fatalf("error %v, want divergence %t", err, c.diverged)
			}
			if c.diverged {
				return
			}
			next := start{promises: got}.next()
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(promise{})); diff != "" || next != c.next {
				t.Errorf("next %d, want %d; promises (-want +got):\n%s", next, c.next, diff)
			}
		})
	}
}

func TestAnInsertThatFailsIsAnErrorInBothProtocols(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	name := enginetest.NewDatabase(t, e)
	for i, dsn := range []string{e.NativeDSN(name), e.HTTPDSN(name)} {
		t.Run(dsn[:strings.Index(dsn, ":")], func(t *testing.T) {
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			options, err := parseDSN(dsn)
			if err != nil {
				t.Fatal(err)
			}
			to := newInserter(options)
			defer to.close()
			one, two := proto.ColUInt64{uint64(i)}, proto.ColUInt64{1, 2}
			good := insert{table: "ledger", input: proto.Input{{Name: "ledger_seq", Data: one}}, settings: []setting{{"async_insert", "0"}}}
			uneven, unknown, unset := good, good, good
			uneven.input = proto.Input{{Name: "ledger_seq", Data: one}, {Name: "account_seq", Data: two}}
			unknown.table = "nowhere"
			unset.settings = []setting{{"no_such_setting", "1"}}
			for name, bad := range map[string]insert{"columns of unequal length": uneven, "an unknown table": unknown, "an unknown setting": unset} {
				if err := to.insert(t.Context(), bad); err == nil {
					t.Errorf("%s: no error", name)
				}
			}
			if err := to.insert(t.Context(), good); err != nil {
				t.Errorf("a good insert after those: %v", err)
			}
		})
	}
	var rows uint64
	if scan(t, enginetest.Connect(t, e.NativeDSN(name)), "SELECT count() FROM ledger", &rows); rows != 2 {
		t.Errorf("%d rows, want the two good ones", rows)
	}
}
