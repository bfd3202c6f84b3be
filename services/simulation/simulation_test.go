package simulation

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/drawdown-credits/drawdown/events"
)

// outcome is what one seed came to.
type outcome struct {
	seed   uint64
	hash   uint64 // of everything that happened, in order
	steps  int
	faults map[string]int
	seen   map[string]int
	wrong  string // empty when nothing is
	trace  []string
}

// simulate runs one seed. The same seed does the same every time.
func simulate(t *testing.T, seed uint64) outcome {
	var o outcome
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed)
		o = w.run()
	})
	return o
}

func TestEveryChargeIsMadeOnceWhateverHappens(t *testing.T) {
	if *seedFlag != 0 {
		o := simulate(t, *seedFlag)
		t.Logf("seed %d: %d steps, faults %v, hash %x", o.seed, o.steps, o.faults, o.hash)
		if o.wrong != "" {
			t.Errorf("seed %d: %s\n%s", o.seed, o.wrong, tail(o))
		}
		return
	}
	var all tally
	eachSeed(t, *seedsFlag, func(t *testing.T, seed uint64) {
		o := simulate(t, seed)
		failed := all.add(o)
		switch {
		case o.wrong == "":
		case failed <= 3:
			t.Errorf("seed %d: %s\n%s\nagain with: go test ./simulation -seed %d -v", o.seed, o.wrong, tail(o), o.seed)
		default:
			t.Errorf("seed %d: %s", o.seed, firstLine(o.wrong))
		}
	})
	t.Cleanup(func() { all.report(t) })
}

// tally sums up what many seeds came to.
type tally struct {
	mu            sync.Mutex
	seeds, failed int
	steps         int
	faults, seen  map[string]int
}

// add counts a seed and returns how many have failed so far.
func (all *tally) add(o outcome) int {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.faults == nil {
		all.faults, all.seen = map[string]int{}, map[string]int{}
	}
	all.seeds++
	all.steps += o.steps
	for kind, n := range o.faults {
		all.faults[kind] += n
	}
	for kind, n := range o.seen {
		all.seen[kind] += n
	}
	if o.wrong != "" {
		all.failed++
	}
	return all.failed
}

// report says what happened, and refuses a run in which something never did: it
// would prove nothing about it.
func (all *tally) report(t *testing.T) {
	const enough = 300 // seeds
	t.Logf("%d seeds from %d on: %d steps, %d failed\nfaults %v\nseen %v", all.seeds, *firstFlag, all.steps, all.failed, all.faults, all.seen)
	if all.seeds < enough || all.failed > 0 {
		return
	}
	for _, kind := range []string{"crash", "cut", "handover", "late", "leap", "lose", "mute", "pause", "power cut", "refuse", "restart"} {
		if all.faults[kind] == 0 {
			t.Errorf("there was no %s", kind)
		}
	}
	for _, kind := range []string{
		charged, duplicate, events.CodeMalformed, events.CodeStray, events.CodeAccountMismatch, events.CodeFuture, events.CodeTooLate,
		events.CodeUnratable, "entry grant", "entry void", "entry tick", "entry account", "entry hold", "entry capture", "entry release", "entry adjust",
		"signal low", "signal exhausted", "signal restored", "signal overage_started", "signal budget_exceeded", "signal budget_restored",
		"hold applied", "hold unchanged", "hold insufficient", "hold conflict", "capture expired", "capture applied", "capture captured", "release applied", "adjust applied", "adjust conflict",
		"posting expire", "posting activate", "posting period", "posting rollover", "posting recur", "posting forgive", "posting change", "posting hold_expire",
		"rows of ledger", "rows of usage_events", "rows of signals", "snapshots", "answers",
	} {
		if all.seen[kind] == 0 {
			t.Errorf("there was no %s", kind)
		}
	}
}

// TestASeedDoesTheSameEveryTime compares two runs of a seed step by step.
func TestASeedDoesTheSameEveryTime(t *testing.T) {
	var differ, compared atomic.Int64
	eachSeed(t, fewer(), func(t *testing.T, seed uint64) {
		compared.Add(1)
		if a, b := simulate(t, seed), simulate(t, seed); a.hash != b.hash {
			differ.Add(1)
			t.Logf("seed %d: two runs part %s", seed, parting(a, b))
		}
	})
	t.Cleanup(func() { t.Logf("%d of %d seeds did not do the same twice", differ.Load(), compared.Load()) })
}

// fewer is how many seeds a test runs that takes longer than one run of each.
func fewer() int { return max(1, *seedsFlag/10) }

// eachSeed runs do for n seeds on every core, or for the one asked for.
func eachSeed(t *testing.T, n int, do func(t *testing.T, seed uint64)) {
	if *seedFlag != 0 {
		do(t, *seedFlag)
		return
	}
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		t.Run(fmt.Sprint("core ", worker), func(t *testing.T) {
			t.Parallel()
			for i := worker; i < n; i += workers {
				do(t, *firstFlag+uint64(i))
			}
		})
	}
}

func tail(o outcome) string {
	return strings.Join(o.trace[max(0, len(o.trace)-*tailFlag):], "\n")
}

// parting shows where two runs of one seed part.
func parting(a, b outcome) string {
	for i := range min(len(a.trace), len(b.trace)) {
		if a.trace[i] != b.trace[i] {
			return fmt.Sprintf("at step %d, behind %s:\n%s\n%s", i, a.trace[max(i-1, 0)], a.trace[i], b.trace[i])
		}
	}
	return fmt.Sprintf("when one of them ends after %d steps", min(len(a.trace), len(b.trace)))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
