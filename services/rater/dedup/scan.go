package dedup

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// scan makes the filters of what an index held when it was opened, beside
// look-ups, which ask the database itself until then.
type scan struct {
	stopped atomic.Bool
	running sync.WaitGroup
}

// startScan takes the view of the database that the filters are made of before
// it returns: what is committed later is not in it.
func (x *Index) startScan() (*scan, error) {
	s := &scan{}
	if len(x.live) == 0 {
		return s, nil
	}
	iter, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindEvent}, UpperBound: []byte{kindEvent + 1}})
	if err != nil {
		return nil, fmt.Errorf("read the dedup index: %w", err)
	}
	generations, known := make([]*live, len(x.live)), make([]int64, len(x.live))
	for i, l := range x.live {
		generations[i], known[i] = l, x.record.Known[l.generation]
	}
	s.running.Go(func() {
		for i, l := range generations { // the newest first
			f := newFilter(int(known[i]))
			if !s.collect(iter, l.generation, f) {
				break
			}
			l.old.Store(f)
		}
		if err := iter.Close(); err != nil {
			x.fail(err)
		}
	})
	return s, nil
}

// collect adds the keys of g to f, and reports whether it got to the end.
func (s *scan) collect(iter *pebble.Iterator, g generation, f *filter) bool {
	from := g.appendPrefix(nil)
	for ok := iter.SeekGE(from); ok; ok = iter.Next() {
		key := iter.Key()
		if string(key[:prefixBytes]) != string(from) {
			return true
		}
		if s.stopped.Load() {
			return false
		}
		f.add(Key(key[prefixBytes:]))
	}
	return iter.Error() == nil
}

func (s *scan) stop() {
	s.stopped.Store(true)
	s.running.Wait()
}
