package clickhouse

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// crashable is an engine that a test may kill and start again at will.
type crashable struct {
	t      testing.TB
	config engine.Config
	*engine.Engine
}

func newCrashable(t testing.TB) *crashable {
	t.Helper()
	c := &crashable{t: t, config: engine.Config{Dir: t.TempDir()}}
	c.start()
	c.config.NativePort, c.config.HTTPPort = port(t, c.NativeDSN("x")), port(t, c.HTTPDSN("x"))
	return c
}

func (c *crashable) start() {
	c.t.Helper()
	c.Engine = enginetest.Start(c.t, c.config)
}

// kill ends the engine as a power switch would, but for the page cache.
func (c *crashable) kill() {
	c.t.Helper()
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	c.Close()
}

func port(t testing.TB, dsn string) int {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKillingEngineAndProjectorAtAnyMomentLosesAndDoublesNothing(t *testing.T) {
	const kills = 8
	w, e := newWorld(t, 2), newCrashable(t)
	dsn := e.NativeDSN(engine.Database)
	p := w.projection(dsn, 40)
	stop := run(t, p)
	for range kills {
		w.write(60)
		from := p.Status().Through
		target := from + w.random.Uint64N(w.last()-from+1)
		await(t, "a part of the projection", func() bool { return p.Status().Through >= target })
		switch w.random.IntN(3) {
		case 0: // only the engine
			e.kill()
			e.start()
			continue
		case 1: // the projector, then the engine
			stop()
			e.kill()
			e.start()
		case 2: // the engine, then the projector
			e.kill()
			stop()
			e.start()
		}
		p = w.projection(dsn, 10+w.random.IntN(80)) // which cuts otherwise
		stop = run(t, p)
	}
	await(t, "the projection", func() bool { return p.Status().Through >= w.last() })
	stop()
	w.check(dsn)
}

func TestProjectorsThatStopAtAnyMomentLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 3), enginetest.Database(t)
	for range 8 {
		w.write(25)
		p := w.projection(dsn, 5+w.random.IntN(60))
		stop := run(t, p)
		target := w.random.Uint64N(w.last() + 1)
		await(t, "a part of the projection", func() bool { return p.Status().Through >= target })
		stop()
	}
	w.project(dsn, 100)
	w.check(dsn)
}

func TestSendingTheNewestBatchAgainChangesNothing(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 4), enginetest.Database(t)
	w.write(200)
	for range 4 { // each begins with the newest batch
		w.project(dsn, 1000)
	}
	w.check(dsn)
}

func TestSendingTheNewestBatchAgainCompletesARollup(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 5), enginetest.Database(t)
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	conn := enginetest.Connect(t, dsn)
	views := []string{"usage_by_hour_mv", "usage_by_hour_corrections_mv"}
	definitions := map[string]*string{}
	for _, name := range views {
		definitions[name] = new(string)
		scan(t, conn, "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '"+name+"'", definitions[name])
		exec(t, conn, "DROP VIEW "+name)
	}
	w.write(200)
	w.projectAtOnce(dsn) // as if the engine died between the ledger's part and the rollup's
	var calls int64
	if scan(t, conn, "SELECT sum(calls) FROM usage_by_hour", &calls); calls != 0 {
		t.Fatalf("the rollup has %d calls without its views", calls)
	}
	for _, name := range views {
		exec(t, conn, *definitions[name])
	}
	w.project(dsn, 100)
	w.check(dsn)
}

// dying is a store that stops working before an insert into a table.
type dying struct {
	Store
	table Table
	after int // inserts into table that still succeed
	die   context.CancelFunc
}

func (d *dying) Insert(ctx context.Context, b Block) error {
	if b.Table == d.table {
		if d.after--; d.after < 0 {
			d.die()
			return errors.New("died")
		}
	}
	return d.Store.Insert(ctx, b)
}

func TestACrashBetweenTheTwoInsertsOfABatchIsMended(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int{"of the first batch": 0, "of a later batch": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dsn := newWorld(t, 6), enginetest.Database(t)
			w.write(200)
			ctx, die := context.WithCancel(t.Context())
			p := w.projection(dsn, 100)
			p.store = &dying{Store: p.store, table: TableLedger, after: after, die: die}
			if err := p.Run(ctx); err != nil {
				t.Fatal(err)
			}
			at := positionOf(t, dsn)
			if at.usage.First != at.ledger.Last+1 {
				t.Fatalf("usage_events ends with %s and ledger with %s; want it one ahead", at.usage.Span, at.ledger.Span)
			}
			w.write(100)
			w.project(dsn, 500) // would cut otherwise
			w.check(dsn)
			var kept uint64
			scan(t, enginetest.Connect(t, dsn), "SELECT countIf(batch_first = "+strconv.FormatUint(at.usage.First, 10)+
				" AND batch_last = "+strconv.FormatUint(at.usage.Last, 10)+") FROM ledger", &kept)
			if kept == 0 {
				t.Errorf("ledger has no batch %s", at.usage.Span)
			}
		})
	}
}

// positionOf reads what the database behind dsn holds.
func positionOf(t testing.TB, dsn string) position {
	t.Helper()
	store, err := NewStore(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := readPosition(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// losing is a store before whose nth insert something happens, once.
type losing struct {
	Store
	n      int
	happen func()
}

func (l *losing) Insert(ctx context.Context, b Block) error {
	if l.n--; l.n == 0 {
		l.happen()
		return errors.New("the power went")
	}
	return l.Store.Insert(ctx, b)
}

func TestAClickHouseThatLostWhatItAcknowledgedStopsTheProjection(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 9), enginetest.Database(t)
	w.write(100)
	conn := enginetest.Connect(t, dsn)
	p := w.projection(dsn, 50)
	p.store = &losing{Store: p.store, n: 6, happen: func() { exec(t, conn, "TRUNCATE TABLE ledger") }}
	if err := p.project(t.Context()); !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "and now ends with 0-0") {
		t.Errorf("stops with %v", err)
	}
	p.store.Close()
}

func TestABatchThatATableRemembersWithoutItsRowsStopsTheProjection(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 9), enginetest.Database(t)
	w.write(100)
	w.project(dsn, 50)
	at := positionOf(t, dsn)
	exec(t, enginetest.Connect(t, dsn), "DELETE FROM ledger WHERE batch_first = "+strconv.FormatUint(at.ledger.First, 10)) // its token stays
	if err := w.mustStop(dsn); !strings.Contains(err, "took batch "+at.ledger.Span.String()+" for one that it has") {
		t.Errorf("stops with %v", err)
	}
}

func TestAnEngineThatIsDownForAWhileIsCaughtUpWith(t *testing.T) {
	w, e := newWorld(t, 7), newCrashable(t)
	dsn := e.NativeDSN(engine.Database)
	p := w.projection(dsn, 50)
	stop := run(t, p)
	w.write(50)
	await(t, "the projection", func() bool { return p.Status().Through >= w.last() })
	e.kill()
	w.write(300)
	await(t, "a retry that sees how far the stream is", func() bool { return p.Status().Retries >= 2 && p.Status().Last == w.last() })
	if s := p.Status(); s.Problem == "" || s.Through >= w.last() {
		t.Errorf("status %+v while the engine is down; want a problem and how far it is behind", s)
	}
	e.start()
	await(t, "the projection", func() bool { return p.Status().Through >= w.last() })
	if s := p.Status(); s.Problem != "" {
		t.Errorf("status %+v after the engine is back; want no problem", s)
	}
	stop()
	w.check(dsn)
}

func TestARunThatBeginsBeforeTheEngineWaitsForIt(t *testing.T) {
	w, e := newWorld(t, 8), newCrashable(t)
	dsn := e.NativeDSN(engine.Database)
	e.kill()
	w.write(300)
	p := w.projection(dsn, 50)
	run(t, p)
	await(t, "a problem", func() bool { return p.Status().Problem != "" })
	e.start()
	await(t, "the projection", func() bool { return p.Status().Through >= w.last() })
	w.check(dsn)
}

func TestAnInsertOfADeadProjectorIsWaitedFor(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	name := enginetest.NewDatabase(t, e)
	dsn := e.NativeDSN(name)
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	conn, late := enginetest.Connect(t, dsn), enginetest.Connect(t, dsn)
	done := make(chan error, 1)
	go func() {
		ctx := driver.Context(context.Background(), driver.WithQueryID(newQueryID(name, "signals", "late")))
		done <- late.Exec(ctx, "INSERT INTO signals (account, sequence) SELECT 'late', 1 + sleepEachRow(1)")
	}()
	var rows uint64
	await(t, "the late insert", func() bool {
		scan(t, conn, "SELECT count() FROM system.processes WHERE startsWith(query_id, '"+queryIDPrefix(name)+"')", &rows)
		return rows > 0
	})
	store, err := NewStore(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if scan(t, conn, "SELECT count() FROM signals", &rows); rows != 1 {
		t.Errorf("the insert has %d rows when it is no longer waited for; want 1", rows)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
