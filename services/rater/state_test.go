package rater_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/rater"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// lines are log lines, for a test that reads them.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with returns the lines that contain what.
func (l *lines) with(what string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// rateFor rates partition 0 with state in a folder until n events are settled,
// and returns what it logged.
func (w *world) rateFor(dir string, n int) *lines {
	w.Helper()
	log := &lines{}
	stop := w.start(rater.Config{Share: of(0), StateDir: dir, Installation: "here", Logger: log.logger()})
	defer stop()
	w.settle(0, n)
	return log
}

const rebuilt = "dedup index is rebuilt from the ledger"

func TestARaterGoesOnFromItsIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	dir := t.TempDir()
	a, b := usage(accountOf(0, 0), "a"), usage(accountOf(0, 0), "b")
	w.publishBatch(a, b, a)
	for restart := range 3 {
		if log := w.rateFor(dir, 3+2*restart); len(log.with(rebuilt)) != 0 {
			t.Errorf("restart %d: %s", restart, log.with(rebuilt))
		}
		w.publishBatch(b, usage(accountOf(0, 0), fmt.Sprint(restart)))
	}
	w.rateFor(dir, 9)
	if got := w.settle(0, 9).totals(); got.Duplicates != 4 {
		t.Errorf("settled %+v, want 4 duplicates", got)
	}
}

func TestAnIndexThatCannotBeTrustedIsRebuiltFromTheLedger(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(w *world, dir string)
		why   string // in the one line that tells, none when empty
	}{
		"removed":        {func(w *world, dir string) { w.must(os.RemoveAll(dir)) }, ""},
		"behind":         {func(w *world, dir string) { w.must(os.RemoveAll(dir)); w.must(os.CopyFS(dir, os.DirFS(dir+".before"))) }, ""},
		"garbage":        {func(w *world, dir string) { w.overwrite(dir, "MANIFEST") }, "it cannot be opened"},
		"another's":      {func(w *world, dir string) { w.replace(dir, "there", 7, time.Now()) }, "it is of installation there, not here"},
		"ahead":          {func(w *world, dir string) { w.replace(dir, "here", 1000, time.Now()) }, "it stands at message 1000 of LEDGER"},
		"of another end": {func(w *world, dir string) { w.replace(dir, "here", 1, noon) }, "it stands at message 1 of LEDGER, stored at " + noon.Format(time.RFC3339) + "; found message 1"},
		"of another horizon": {func(w *world, dir string) {
			id := identity("here")
			id.Horizon++
			w.replaceWith(dir, id, 1, time.Now())
		}, "it is of horizon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.applyCard(1, time.Time{}, "1")
			dir := filepath.Join(t.TempDir(), "state")
			a, b, c := usage(accountOf(0, 0), "a"), usage(accountOf(0, 0), "b"), usage(accountOf(0, 0), "c")
			w.publish(a)
			w.rateFor(dir, 1)
			w.must(os.CopyFS(dir+".before", os.DirFS(dir)))
			w.publish(b)
			w.rateFor(dir, 2)
			tc.spoil(w, dir)
			w.publishBatch(a, b, c)
			log := w.rateFor(dir, 5)
			told := log.with(rebuilt)
			if tc.why == "" && len(told) != 0 || tc.why != "" && (len(told) != 1 || !strings.Contains(told[0], tc.why)) {
				t.Errorf("told %q, want one line with %q", told, tc.why)
			}
			w.rateFor(dir, 5)
			if got := w.settle(0, 5); len(got.debits) != 3 || got.totals().Duplicates != 2 {
				t.Errorf("%d debits, %+v; want 3 and 2 duplicates", len(got.debits), got.totals())
			}
		})
	}
}

// overwrite puts garbage over the files of partition 0 whose names begin alike.
func (w *world) overwrite(dir, prefix string) {
	w.Helper()
	w.must(filepath.WalkDir(filepath.Join(dir, "rater", "0"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(entry.Name(), prefix) {
			err = os.WriteFile(path, []byte("garbage"), 0o600)
		}
		return err
	}))
}

func identity(installation string) dedup.Identity {
	return dedup.Identity{Installation: installation, Partitions: partitions, Horizon: rater.DefaultHorizon, MaxAhead: rater.DefaultMaxAhead}
}

// replace puts an index in place that stands at a ledger message, and knows an
// event that was never charged.
func (w *world) replace(dir, installation string, sequence uint64, stored time.Time) {
	w.Helper()
	w.replaceWith(dir, identity(installation), sequence, stored)
}

func (w *world) replaceWith(dir string, id dedup.Identity, sequence uint64, stored time.Time) {
	w.Helper()
	w.must(os.RemoveAll(dir))
	cache := dedup.NewCache()
	defer cache.Close()
	x, _, err := dedup.Open(filepath.Join(dir, "rater", "0"), id, cache)
	w.must(err)
	s := dedup.State{Position: events.Position{Sequence: sequence, StoredAt: stored}}
	s.Mark.Sequence, s.Mark.StoredAt = sequence, stored
	w.must(x.Commit([]dedup.Key{dedup.KeyOf("/test", "c")}, nil, s))
	w.must(x.Close())
}

func TestARaterTakesOverFromOneThatHoldsTheFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	dir := t.TempDir()
	w.publish(usage(accountOf(0, 0), "a"))
	w.rateFor(dir, 1)
	cache := dedup.NewCache()
	defer cache.Close()
	paused, _, err := dedup.Open(filepath.Join(dir, "rater", "0"), identity("here"), cache)
	w.must(err)
	defer func() { w.must(paused.Close()) }()
	w.publishBatch(usage(accountOf(0, 0), "a"), usage(accountOf(0, 0), "b"))
	log := w.rateFor(dir, 3)
	if told := log.with("in use by another process"); len(told) != 1 {
		t.Errorf("told %q, want one line", told)
	}
	if got := w.settle(0, 3); len(got.debits) != 2 {
		t.Errorf("%d debits, want 2", len(got.debits))
	}
}

func TestAPartitionHandedOverAndBackChargesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	dirs := []string{t.TempDir(), t.TempDir()}
	sent := 0
	for turn := range 6 {
		var batch []events.Usage
		for i := range 50 {
			batch = append(batch, usage(accountOf(0, i%3), fmt.Sprint(turn, "-", i)))
		}
		w.publishBatch(batch...)
		w.publishBatch(usage(accountOf(0, 0), "0-0"), usage(accountOf(0, turn%3), fmt.Sprint(turn, "-", turn)))
		sent += 52
		w.rateFor(dirs[turn%2], sent)
	}
	if got := w.settle(0, sent); len(got.debits) != 300 || got.totals().Duplicates != 12 {
		t.Errorf("%d debits, %+v; want 300 and 12 duplicates", len(got.debits), got.totals())
	}
}

func TestAReportSaysHowAPartitionStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	last := w.publishBatch(usage(accountOf(0, 0), "a"), usage(accountOf(0, 0), "b"), usage(accountOf(0, 0), "a"))
	held, _ := w.run(0)
	want := lease.Report{State: lease.StateLive, Sequence: last, Known: 2}
	w.await(held, 0, func(r lease.Report) bool { return r == want })
}
