package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// rebuild rebuilds dsn and returns the report.
func (w *world) rebuild(dsn string) Report {
	w.t.Helper()
	var stages []string
	report, err := Rebuild(w.t.Context(), w.projection(dsn, 300).config, func(p Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
		if p.Done > p.Total {
			w.t.Errorf("progress %+v", p)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.Equal(stages, []string{StageFill, StageCompare, StageSwap}) {
		w.t.Errorf("stages %v", stages)
	}
	return report
}

// tidy checks that a rebuild left nothing behind.
func (w *world) tidy(dsn string) {
	w.t.Helper()
	var databases uint64
	scan(w.t, enginetest.Connect(w.t, dsn), "SELECT count() FROM system.databases WHERE name = concat(currentDatabase(), '_rebuild')", &databases)
	shadow := newAgreement(w.broker, keyRebuild)
	if err := shadow.read(w.t.Context()); err != nil || shadow.exists || databases != 0 {
		w.t.Errorf("%d databases and a manifest %t are left, %v", databases, shadow.exists, err)
	}
}

func TestARebuildMendsWhatWasDamagedWhileEventsFlow(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 50), enginetest.Database(t)
	w.write(100)
	w.signal("a", 1, events.SignalLow)
	w.signal("b", 1, events.SignalLow)
	p := w.projection(dsn, 100)
	run(t, p)
	await(t, "the projection", func() bool {
		signals, _ := p.status.progress(events.StreamSignals)
		return p.Status().Through >= w.last() && signals == 2
	})
	conn := enginetest.Connect(t, dsn)
	exec(t, conn, "DELETE FROM ledger WHERE account = 'account-3' AND account_seq = 2")
	exec(t, conn, "INSERT INTO usage_events SELECT * FROM usage_events WHERE account = 'account-4' LIMIT 1")
	exec(t, conn, "TRUNCATE TABLE usage_by_hour")
	exec(t, conn, "DELETE FROM signals WHERE account = 'a'")

	var flowing sync.WaitGroup
	flowing.Go(func() {
		for range 10 {
			w.write(5)
		}
	})
	report := w.rebuild(dsn)
	flowing.Wait()
	told := map[string]bool{}
	for _, d := range report.Differences {
		told[d.Table+" "+d.Subject] = true
	}
	if !told["ledger account-3"] || !told["usage_events account-4"] || !told["signals a"] || report.Equal() || report.Generation != 1 {
		t.Errorf("report %+v", report)
	}
	w.write(20)
	await(t, "the projection of the rebuilt tables", func() bool { s := p.Status(); return s.Through >= w.last() && s.State == StateLive })
	w.check(dsn)
	w.tidy(dsn)
	if signals := readTexts(t, conn, "SELECT account, kind FROM signals FINAL"); signals["a"] != "low" {
		t.Errorf("signals %v", signals)
	}
}

func TestARebuildOfSoundTablesSaysSo(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 51), enginetest.Database(t)
	w.write(100)
	w.project(dsn, 300)
	for generation := range 2 {
		if report := w.rebuild(dsn); !report.Equal() || report.Through != w.last() || report.Generation != uint64(generation+1) {
			t.Errorf("report %+v", report)
		}
	}
	w.project(dsn, 300)
	w.check(dsn)
}

func TestARebuildBringsBackWhatAPartitionWithheld(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 52), enginetest.Database(t)
	w.write(130)
	at := newAgreement(w.broker, keyLive) // as an older version, which could not read message 40, left it
	stop := Stop{Partition: strings.Split(w.subjectOf(40), ".")[1], Sequence: 40, Reason: "too new"}
	store, err := NewStore(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner, err := store.Claim(t.Context(), installation)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.propose(t.Context(), manifest{Format: manifestFormat, Installation: installation, Database: owner.Database, Stopped: []Stop{stop}}); err != nil {
		t.Fatal(err)
	}
	w.stopped = map[string]uint64{stop.Partition: 40}
	w.project(dsn, 200)
	w.check(dsn)
	w.stopped = nil
	if report := w.rebuild(dsn); report.Equal() {
		t.Error("the rebuild found no difference")
	}
	w.project(dsn, 200)
	w.check(dsn)
}

func TestARebuildThatDiesAtAnyPointLeavesADatabaseThatWorks(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 53), enginetest.Database(t)
	w.write(100)
	w.project(dsn, 300)
	begin := func(ctx context.Context, r *rebuild) error { return r.swap.begin(ctx, r.report.Generation) }
	fence := func(ctx context.Context, r *rebuild) error { return r.swap.fence(ctx) }
	seize := func(ctx context.Context, r *rebuild) error {
		_, err := r.swap.seize(ctx)
		return err
	}
	half := func(ctx context.Context, r *rebuild) error {
		return r.live.conn.Exec(ctx, fmt.Sprintf("EXCHANGE TABLES %[1]s.ledger AND %[2]s.ledger__swap1, %[1]s.usage_by_day AND %[2]s.usage_by_day__swap1",
			r.live.database(), r.shadow.database()))
	}
	freeze := func(ctx context.Context, r *rebuild) error {
		r.filler.ending.after(0)
		await(t, "an end of the filling", func() bool { return r.swap.freeze(ctx) == nil })
		return nil
	}
	steps := []func(context.Context, *rebuild) error{begin, fence, freeze, seize, half}
	for _, n := range []int{0, 1, 3, 5} { // which leave different things behind
		w.dyingRebuild(dsn, steps[:n])
		w.write(10)
		p := w.projection(dsn, 300)
		p.swapGrace = 0
		w.finish(p)
		w.check(dsn)
		if n > 0 { // else writers know nothing of it, and the next rebuild clears it away
			w.tidy(dsn)
		}
	}
}

// dyingRebuild prepares a rebuild, takes some steps of its end, and dies.
func (w *world) dyingRebuild(dsn string, steps []func(context.Context, *rebuild) error) {
	w.t.Helper()
	r, err := newRebuild(w.projection(dsn, 300).config, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.live.Close()
	defer r.shadow.Close()
	ctx, die := context.WithCancel(w.t.Context())
	if err := r.prepare(ctx); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.fill(ctx) }()
	if err := r.await(ctx, StageFill, w.last()/2, 0); err != nil {
		w.t.Fatal(err)
	}
	for i, step := range steps {
		if err := step(ctx, r); err != nil {
			w.t.Fatalf("step %d: %v", i, err)
		}
	}
	die()
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

func TestASecondRebuildEndsTheFirst(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 54), enginetest.Database(t)
	w.write(30)
	first, err := newRebuild(w.projection(dsn, 100).config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.live.Close()
	defer first.shadow.Close()
	if err := first.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.rebuild(dsn)
	if err := first.fill(t.Context()); !errors.Is(err, errReplaced) {
		t.Errorf("the first rebuild goes on: %v", err)
	}
}
