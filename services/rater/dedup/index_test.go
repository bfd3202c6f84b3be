package dedup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

var (
	noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	own  = Identity{Installation: "here", Partition: 3, Partitions: 16, Horizon: 8 * time.Hour, MaxAhead: 5 * time.Minute}
)

// rig is a file system with one index on it.
type rig struct {
	testing.TB
	disk  vfs.FS
	cache *Cache
	x     *Index
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t, disk: vfs.NewCrashableMem(), cache: NewCache()}
	t.Cleanup(r.cache.Close)
	r.open(own)
	t.Cleanup(r.close)
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// open opens the index, and returns why it was rebuilt.
func (r *rig) open(id Identity) (rebuilt string) {
	r.Helper()
	x, rebuilt, err := OpenOn(r.disk, "index", id, r.cache)
	r.must(err)
	r.x = x
	return rebuilt
}

func (r *rig) close() {
	r.Helper()
	if r.x != nil {
		r.must(r.x.Close())
		r.x = nil
	}
}

// at is the state behind the message of a sequence, stored at a time.
func at(sequence uint64, stored time.Time) State {
	return State{
		Mark:      stream.Mark{Sequence: sequence, StoredAt: stored},
		Position:  events.Position{Sequence: 10 * sequence, Index: 2, StoredAt: stored.Add(-time.Second)},
		Corrected: stream.Mark{Sequence: sequence + 1, StoredAt: stored.Add(time.Second)},
	}
}

func (r *rig) commit(s State, ids ...string) {
	r.Helper()
	keys := make([]Key, len(ids))
	for i, id := range ids {
		keys[i] = KeyOf("/s", id)
	}
	r.must(r.x.Commit(keys, nil, s))
}

// want checks the state, and which ids are known.
func (r *rig) want(s State, known, unknown string) {
	r.Helper()
	if diff := cmp.Diff(s, r.x.State()); diff != "" {
		r.Errorf("state (-want +got):\n%s", diff)
	}
	for ids, want := range map[string]bool{known: true, unknown: false} {
		for _, id := range strings.Fields(ids) {
			if has, err := r.x.Has(KeyOf("/s", id)); err != nil || has != want {
				r.Errorf("id %s is known: %v, %v; want %v", id, has, err, want)
			}
		}
	}
	if n := len(strings.Fields(known)); r.x.Len() != int64(n) {
		r.Errorf("%d ids are counted, want %d", r.x.Len(), n)
	}
}

func TestKeysOfDifferentEventsDiffer(t *testing.T) {
	t.Parallel()
	if KeyOf("a", "bc") == KeyOf("ab", "c") || KeyOf("a", "") == KeyOf("", "a") {
		t.Error("the border between source and id is lost")
	}
	if first, again := KeyOf("a", "b"), KeyOf("a", "b"); first != again {
		t.Error("one event has two keys")
	}
}

func TestAnIndexRemembersOverACleanStop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(State{}, "", "a b")
	r.commit(at(1, noon), "a")
	r.commit(at(2, noon.Add(3*time.Hour)), "b", "c")
	r.commit(at(5, noon.Add(3*time.Hour)))
	r.want(at(5, noon.Add(3*time.Hour)), "a b c", "d")
	r.close()
	if rebuilt := r.open(own); rebuilt != "" {
		t.Errorf("rebuilt: %s", rebuilt)
	}
	r.want(at(5, noon.Add(3*time.Hour)), "a b c", "d")
	r.x.scan.running.Wait() // with the filters made, too
	r.want(at(5, noon.Add(3*time.Hour)), "a b c", "d")
	r.commit(at(6, noon.Add(3*time.Hour)), "d")
	r.want(at(6, noon.Add(3*time.Hour)), "a b c d", "e")
}

func TestAnIndexIsForgottenAsAWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.commit(at(1, noon), "a", "b")
	r.must(r.x.Clear(time.Time{}))
	r.want(State{}, "", "a b")
	r.commit(at(1, noon), "b")
	r.want(at(1, noon), "b", "a")
}

func TestAGenerationIsForgottenOnceAllOfItIsBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	// A generation of own lasts an hour: 12:00 is in the one that ends at 13:00,
	// and its events matter until 8 hours, 5 minutes and one generation later.
	last := noon.Add(time.Hour).Add(own.Horizon + own.MaxAhead + time.Hour)
	for name, tc := range map[string]struct {
		now            time.Time
		known, unknown string
	}{
		"at once":                  {noon, "old new", ""},
		"a nanosecond before then": {last.Add(-1), "old new", ""},
		"then":                     {last, "new", "old"},
		"long after":               {last.Add(24 * time.Hour), "", "old new"},
		"by a clock that is zero":  {time.Time{}, "old new", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.commit(at(1, noon), "old")
			r.commit(at(2, noon.Add(time.Hour)), "new")
			r.must(r.x.Expire(tc.now))
			r.want(at(2, noon.Add(time.Hour)), tc.known, tc.unknown)
			r.close()
			r.open(own)
			r.want(at(2, noon.Add(time.Hour)), tc.known, tc.unknown)
		})
	}
}

func TestAnIndexOfSomethingElseIsRemoved(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Identity){
		"":                                  func(*Identity) {},
		"installation here, not there":      func(id *Identity) { id.Installation = "there" },
		"partition 3 of 16, not 4 of 16":    func(id *Identity) { id.Partition = 4 },
		"partition 3 of 16, not 3 of 32":    func(id *Identity) { id.Partitions = 32 },
		"horizon 8h0m0s, not 9h0m0s":        func(id *Identity) { id.Horizon = 9 * time.Hour },
		"max-ahead 5m0s, not 1m0s":          func(id *Identity) { id.MaxAhead = time.Minute },
		"it is of format 7, not 3":          nil,
		"its state is damaged: unexpected ": nil,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.commit(at(1, noon), "a")
			id := own
			switch {
			case change != nil:
				change(&id)
			case strings.Contains(want, "format"):
				r.must(r.x.db.Set(stateKey, []byte(`{"format":7,"mark":"elsewhere"}`), pebble.NoSync))
			default:
				r.must(r.x.db.Set(stateKey, []byte(`{"format":1`), pebble.NoSync))
			}
			r.close()
			rebuilt := r.open(id)
			if !strings.Contains(rebuilt, want) || (rebuilt == "") != (want == "") {
				t.Errorf("rebuilt because %q, want %q", rebuilt, want)
			}
			if want == "" {
				r.want(at(1, noon), "a", "b")
				return
			}
			r.want(State{}, "", "a")
			r.commit(at(2, noon), "b")
			r.close()
			if again := r.open(id); again != "" {
				t.Errorf("rebuilt once more: %s", again)
			}
			r.want(at(2, noon), "b", "a")
		})
	}
}

// TestDamageIsNoticedAndNeverForgetsQuietly damages each file of a folder in
// each way: every id that its state speaks for is known, or the index says that it
// is of no use.
func TestDamageIsNoticedAndNeverForgetsQuietly(t *testing.T) {
	t.Parallel()
	cache := NewCache()
	defer cache.Close()
	const ids = 400
	fill := func(folder string) {
		x, _, err := Open(folder, own, cache)
		if err != nil {
			t.Fatal(err)
		}
		for n := range ids {
			if err := x.Commit([]Key{numbered(n)}, nil, at(uint64(n+1), noon.Add(time.Duration(n)*time.Minute))); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	first := t.TempDir()
	fill(first)
	names, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for _, entry := range names {
		for how, damage := range map[string]func([]byte) []byte{
			"removed":   nil,
			"emptied":   func(b []byte) []byte { return nil },
			"truncated": func(b []byte) []byte { return b[:len(b)/2] },
			"flipped": func(b []byte) []byte {
				for i := range b {
					b[i] ^= 0xa5
				}
				return b
			},
		} {
			folder := t.TempDir()
			if err := os.CopyFS(folder, os.DirFS(first)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, entry.Name())
			body, err := os.ReadFile(path)
			if err == nil && damage == nil {
				err = os.Remove(path)
			} else if err == nil {
				err = os.WriteFile(path, damage(body), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if usable(t, folder, cache, ids, entry.Name()+" "+how) {
				continue
			}
			noticed++
			fill(folder) // as it is rebuilt
			if !usable(t, folder, cache, ids, entry.Name()+" "+how+", rebuilt") {
				t.Errorf("%s %s: of no use after it was rebuilt", entry.Name(), how)
			}
		}
	}
	if noticed < 6 {
		t.Errorf("damage was noticed %d times, want that of the tables and the manifest at least", noticed)
	}
}

// usable opens an index, looks everything up and closes it. It reports whether
// the index works and holds all; it fails when the index claims what it does not
// hold.
func usable(t *testing.T, folder string, cache *Cache, ids int, name string) bool {
	x, rebuilt, err := Open(folder, own, cache)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	x.scan.running.Wait()
	forgotten := 0
	through := int(x.State().Mark.Sequence) // id n is charged by message n+1
	for n := range through {
		has, err := x.Has(numbered(n))
		if err != nil {
			break
		}
		if !has {
			forgotten++
		}
	}
	usable := rebuilt == "" && !x.Broken()
	if usable && forgotten > 0 {
		t.Errorf("%s: %d ids are forgotten, and nobody is told", name, forgotten)
	}
	if !usable && x.Broken() {
		if _, err := x.Has(numbered(0)); err == nil && x.Commit(nil, nil, at(1, noon)) == nil {
			t.Errorf("%s: a broken index goes on", name)
		}
	}
	if err := x.Close(); err != nil && !x.Broken() {
		t.Errorf("%s: %v", name, err)
	}
	return usable && through == ids
}

func TestAFolderInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.commit(at(1, noon), "a")
	other := own
	other.Partition = 9
	if _, _, err := OpenOn(r.disk, "index", other, r.cache); !errors.Is(err, ErrInUse) {
		t.Fatalf("opened twice: %v, want ErrInUse", err)
	}
	r.want(at(1, noon), "a", "b")
}

func TestAFullDiskEndsTheUseOfAnIndexAndLosesNothingThatItStoodAt(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*Index) error{
		"while it is written": func(x *Index) (err error) { // until what is in memory must go to disk
			for n := 0; n < 100_000 && err == nil; n++ {
				err = x.Commit([]Key{numbered(2 * n), numbered(2*n + 1)}, nil, at(uint64(n+2), noon))
			}
			return err
		},
		"when it is cleared": func(x *Index) error { return x.Clear(time.Time{}) },
		"when it is closed": func(x *Index) error {
			if err := x.Commit([]Key{numbered(1)}, nil, at(2, noon)); err != nil {
				return err
			}
			return x.flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.commit(at(1, noon), "a")
			r.close()
			healthy := r.disk
			var full errorfs.Toggle
			full.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate {
					return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
				}
				return nil
			})
			r.disk = errorfs.Wrap(healthy, &full)
			r.open(own)
			full.On()
			if err := write(r.x); !errors.Is(err, syscall.ENOSPC) || !r.x.Broken() {
				t.Errorf("on a full disk: %v, broken %v", err, r.x.Broken())
			}
			_ = r.x.Close() // it cannot do what it should
			r.x = nil
			full.Off()
			r.disk = healthy
			if rebuilt := r.open(own); rebuilt != "" {
				t.Errorf("rebuilt: %s", rebuilt)
			}
			r.want(at(1, noon), "a", "b")
		})
	}
}
