package dedup

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// model is what an index must remember, kept in the simplest way: when each key
// was charged, and how many were at each state it stood at.
type model struct {
	keys    []time.Time // by number
	states  []modelState
	expired time.Time
}

// counted is the counter that a model has. It is not forgotten in a test's time.
var counted = CounterKeyOf("a", noon, searches)

type modelState struct {
	State
	keys  int   // charged by then
	count int64 // of the one counter
}

func (m *model) last() modelState { return m.states[len(m.states)-1] }

// rewind forgets what is behind a state that a crash left.
func (m *model) rewind(t *rapid.T, s State) {
	for i, known := range m.states {
		if known.State == s {
			m.states, m.keys = m.states[:i+1], m.keys[:known.keys]
			return
		}
	}
	t.Fatalf("the index stands at %+v, where it never stood", s)
}

func (m *model) check(t *rapid.T, x *Index) {
	if x.State() != m.last().State {
		t.Fatalf("the index stands at %+v, want %+v", x.State(), m.last().State)
	}
	if got, err := x.Count(counted); err != nil || got != count(m.last().count) {
		t.Fatalf("the counter stands at %v, %v; want %d", got, err, m.last().count)
	}
	for n, charged := range m.keys {
		has, err := x.Has(numbered(n))
		if err != nil {
			t.Fatal(err)
		}
		age := m.expired.Sub(charged)
		if !has && age <= own.Horizon+own.MaxAhead {
			t.Fatalf("key %d is forgotten %s after it was charged", n, age)
		}
		if has && age > own.Window()+own.length() {
			t.Fatalf("key %d is remembered %s after it was charged", n, age)
		}
	}
	for n := range 20 {
		if has, err := x.Has(numbered(-1 - n)); err != nil || has {
			t.Fatalf("a key that was never charged is known: %v, %v", has, err)
		}
	}
}

// TestAnIndexAgreesWithANaiveOneOverCrashes commits, expires, flushes, closes
// and crashes in any order. After a crash the index stands at some state it
// stood at, and holds exactly what it held there.
func TestAnIndexAgreesWithANaiveOneOverCrashes(t *testing.T) {
	cache := NewCache()
	defer cache.Close()
	rapid.Check(t, func(t *rapid.T) {
		disk := vfs.NewCrashableMem()
		x, _, err := OpenOn(disk, "index", own, cache)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(err)
		defer func() { must(x.Close()) }()
		reopen := func() {
			var rebuilt string
			x, rebuilt, err = OpenOn(disk, "index", own, cache)
			must(err)
			if rebuilt != "" {
				t.Fatalf("rebuilt: %s", rebuilt)
			}
			if rapid.Bool().Draw(t, "let the filters be made") {
				x.scan.running.Wait()
			}
		}
		now, m := noon, &model{states: make([]modelState, 1)}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { m.check(t, x) },
			"commit": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "after")))
				var keys []Key
				for range rapid.IntRange(0, 5).Draw(t, "keys") {
					keys = append(keys, numbered(len(m.keys)))
					m.keys = append(m.keys, now)
				}
				s := at(m.last().Mark.Sequence+1, now)
				sum := m.last().count + rapid.Int64Range(0, 3).Draw(t, "counted")
				must(x.Commit(keys, Counts{counted: count(sum)}, s))
				m.states = append(m.states, modelState{s, len(m.keys), sum})
			},
			"expire": func(t *rapid.T) {
				m.expired = now
				must(x.Expire(now))
			},
			"flush": func(*rapid.T) { must(x.db.Flush()) },
			"clear": func(*rapid.T) {
				must(x.Clear(time.Time{}))
				m.states, m.keys = make([]modelState, 1), nil
			},
			"stop cleanly": func(*rapid.T) {
				must(x.Close())
				reopen()
			},
			"crash": func(t *rapid.T) {
				left := disk.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(t, "unsynced that survives"),
					RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
				})
				must(x.Close())
				disk = left
				reopen()
				if x.State() == (State{}) {
					m.states, m.keys = make([]modelState, 1), nil
				}
				m.rewind(t, x.State())
			},
		})
	})
}
