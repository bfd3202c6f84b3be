package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var errBroken = errors.New("the dedup index is broken")

// Index is the memory of one partition. It is for one goroutine.
type Index struct {
	identity Identity
	fs       vfs.FS
	folder   string
	db       *pebble.DB
	lock     *pebble.Lock

	record record
	live   []*live // generations with keys, the newest first
	probe  []byte
	scan   *scan

	// broken is why the index is not to be used any more; corrupt, which
	// implies it, says not to be opened again either.
	broken  atomic.Pointer[error]
	failed  chan struct{} // closed when it breaks
	corrupt atomic.Bool
}

// live is a generation that holds keys.
type live struct {
	generation
	known filters // of what was committed since the index was opened
	// old is the filter of what the index held when it was opened; nil means
	// that it is not made yet, so that the database must be asked.
	old atomic.Pointer[filter]
}

// State returns the place that the index stands at; the zero value is the
// beginning of everything.
func (x *Index) State() State { return x.record.State }

// Len returns how many events are remembered.
func (x *Index) Len() int64 {
	n := int64(0)
	for _, known := range x.record.Known {
		n += known
	}
	return n
}

// Has reports whether k is remembered.
func (x *Index) Has(k Key) (bool, error) {
	for _, g := range x.live {
		if old := g.old.Load(); old != nil && !old.mayHave(k) && !g.known.mayHave(k) {
			continue
		}
		x.probe = append(g.appendPrefix(x.probe[:0]), k[:]...)
		_, closer, err := x.db.Get(x.probe)
		switch {
		case err == nil:
			return true, closer.Close()
		case !errors.Is(err, pebble.ErrNotFound):
			x.fail(err)
			return false, fmt.Errorf("look up an event in the dedup index: %w", err)
		}
	}
	return false, nil
}

// Commit remembers keys and counts, as the ledger messages up to s.Mark and the
// corrections up to s.Corrected leave them, and moves to s; all or nothing. It
// costs no sync.
func (x *Index) Commit(keys []Key, counts Counts, s State) error {
	next := x.record
	next.State, next.Known = s, maps.Clone(x.record.Known)
	g := x.identity.generationOf(s.Mark.StoredAt)
	if len(keys) > 0 {
		next.Known[g] += int64(len(keys))
	}
	err := x.write(next, func(b *pebble.Batch) error {
		for i := range keys {
			op := b.SetDeferred(prefixBytes+len(Key{}), 0)
			copy(op.Key[len(g.appendPrefix(op.Key[:0])):], keys[i][:])
			if err := op.Finish(); err != nil {
				return err
			}
		}
		return counts.put(b)
	})
	if err == nil && len(keys) > 0 {
		known := &x.find(g).known
		for _, k := range keys {
			known.add(k)
		}
	}
	return err
}

// find returns a generation that holds keys.
func (x *Index) find(g generation) *live {
	for _, l := range x.live {
		if l.generation == g {
			return l
		}
	}
	panic("dedup: generation " + strconv.Itoa(int(g)) + " is not in the record")
}

// Expire forgets the generations that no event stored at now or later could
// have been charged in and still be taken, and the counters that none could
// move.
func (x *Index) Expire(now time.Time) error {
	next := x.record
	next.Known = maps.Clone(x.record.Known)
	maps.DeleteFunc(next.Known, func(g generation, _ int64) bool { return x.identity.forgettable(g, now) })
	if oldest := now.Add(-x.identity.Reach()).UTC(); oldest.Sub(next.Oldest) > expireEvery {
		next.Oldest = oldest
	}
	if len(next.Known) == len(x.record.Known) && next.Oldest.Equal(x.record.Oldest) {
		return nil
	}
	return x.write(next, func(b *pebble.Batch) error {
		if err := b.DeleteRange(countersFrom(time.Time{}), countersFrom(next.Oldest), nil); err != nil {
			return err
		}
		for g := range x.record.Known {
			if _, kept := next.Known[g]; kept {
				continue
			}
			if err := b.DeleteRange(g.appendPrefix(nil), (g + 1).appendPrefix(nil), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Clear forgets everything and goes back to the beginning. A crash does not
// bring back what was cleared. What is committed next must add up the ledger
// from since on, the zero time being its beginning.
func (x *Index) Clear(since time.Time) error {
	empty := record{Format: format, Identity: x.identity, Known: map[generation]int64{}, Since: since}
	err := x.write(empty, func(b *pebble.Batch) error {
		return b.DeleteRange([]byte{kindEvent}, []byte{kindCount + 1}, nil)
	})
	if err == nil {
		err = x.flush()
	}
	return err
}

// flush writes what is in memory. The database would wait for ever for a disk
// that takes nothing; this gives up when it fails.
func (x *Index) flush() error {
	flushed, err := x.db.AsyncFlush()
	if err != nil {
		x.fail(err)
		return fmt.Errorf("flush the dedup index: %w", err)
	}
	select {
	case <-flushed:
		return nil
	case <-x.failed:
		return *x.broken.Load()
	}
}

// write applies changes together with the record that speaks for them.
func (x *Index) write(next record, change func(*pebble.Batch) error) error {
	if broken := x.broken.Load(); broken != nil {
		return *broken
	}
	b := x.db.NewBatch()
	defer func() { _ = b.Close() }() // it is in memory alone
	value, err := json.Marshal(next)
	if err == nil {
		err = change(b)
	}
	if err == nil {
		err = b.Set(stateKey, value, nil)
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		x.fail(err)
		return fmt.Errorf("write the dedup index: %w", err)
	}
	x.adopt(next)
	return nil
}

// adopt makes r the record, and keeps the filters of the generations in it. One
// that is new has held nothing.
func (x *Index) adopt(r record) {
	before := make(map[generation]*live, len(x.live))
	for _, l := range x.live {
		before[l.generation] = l
	}
	x.record, x.live = r, x.live[:0]
	for _, g := range slices.Backward(slices.Sorted(maps.Keys(r.Known))) {
		l := before[g]
		if l == nil {
			l = &live{generation: g}
			l.old.Store(newFilter(0))
		}
		x.live = append(x.live, l)
	}
}

// Broken reports that something went wrong with the index: close it and open it
// again.
func (x *Index) Broken() bool { return x.broken.Load() != nil }

// fail notes that the index is not to be used any more.
func (x *Index) fail(err error) {
	if pebble.IsCorruptionError(err) {
		x.corrupt.Store(true)
	}
	err = fmt.Errorf("%w: %w", errBroken, err)
	if x.broken.CompareAndSwap(nil, &err) {
		close(x.failed)
	}
}

// Close writes what is in memory, unless something went wrong, and lets the
// folder go. A corrupt index is removed.
func (x *Index) Close() error {
	x.scan.stop()
	var errs []error
	if x.broken.Load() == nil {
		errs = append(errs, x.flush())
	}
	errs = append(errs, x.db.Close())
	if x.corrupt.Load() {
		errs = append(errs, empty(x.fs, x.folder))
	}
	errs = append(errs, x.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the dedup index %s: %w", x.folder, err)
	}
	return nil
}
