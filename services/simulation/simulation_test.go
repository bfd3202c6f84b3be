package simulation

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// outcome is what one seed came to.
type outcome struct {
	seed   uint64
	hash   uint64 // of everything that happened, in order
	steps  int
	faults map[string]int
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
	var failed, steps, faults atomic.Int64
	eachSeed(t, func(t *testing.T, seed uint64) {
		o := simulate(t, seed)
		steps.Add(int64(o.steps))
		for _, n := range o.faults {
			faults.Add(int64(n))
		}
		if o.wrong == "" {
			return
		}
		if failed.Add(1) <= 3 {
			t.Errorf("seed %d: %s\n%s\nagain with: go test ./simulation -seed %d -v", o.seed, o.wrong, tail(o), o.seed)
		} else {
			t.Errorf("seed %d: %s", o.seed, firstLine(o.wrong))
		}
	})
	t.Cleanup(func() {
		t.Logf("%d seeds from %d on: %d steps, %d faults, %d failed", *seedsFlag, *firstFlag, steps.Load(), faults.Load(), failed.Load())
	})
}

// TestASeedDoesTheSameEveryTime compares two runs of a seed step by step.
func TestASeedDoesTheSameEveryTime(t *testing.T) {
	const share = 10 // one seed of so many
	var differ, compared atomic.Int64
	eachSeed(t, func(t *testing.T, seed uint64) {
		if *seedsFlag > share && seed/2%share != 0 {
			return
		}
		compared.Add(1)
		if a, b := simulate(t, seed), simulate(t, seed); a.hash != b.hash {
			differ.Add(1)
			t.Logf("seed %d: two runs part %s", seed, parting(a, b))
		}
	})
	t.Cleanup(func() { t.Logf("%d of %d seeds did not do the same twice", differ.Load(), compared.Load()) })
}

// eachSeed runs do for every seed asked for, on every core.
func eachSeed(t *testing.T, do func(t *testing.T, seed uint64)) {
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		t.Run(fmt.Sprint("core ", worker), func(t *testing.T) {
			t.Parallel()
			for i := worker; i < *seedsFlag; i += workers {
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
