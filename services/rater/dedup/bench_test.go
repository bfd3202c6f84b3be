package dedup

import (
	"encoding/binary"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// BenchmarkIndex fills the index of one partition, spread over its horizon, and
// reports what an id costs on disk, what remembering it takes, what look-ups of
// events that are new and known take, and the memory that stays. The number of
// ids is DRAWDOWN_BENCH_IDS, one million unless set.
func BenchmarkIndex(b *testing.B) {
	ids := 1_000_000
	if set := os.Getenv("DRAWDOWN_BENCH_IDS"); set != "" {
		var err error
		if ids, err = strconv.Atoi(set); err != nil {
			b.Fatal(err)
		}
	}
	id := Identity{Installation: "bench", Partitions: 1, Horizon: 72 * time.Hour, MaxAhead: 5 * time.Minute}
	folder := b.TempDir()
	cache := NewCache()
	defer cache.Close()
	x, _, err := Open(folder, id, cache)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	fillIndex(b, x, ids)
	filled := time.Since(began)
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	began = time.Now()
	if x, _, err = Open(folder, id, cache); err != nil {
		b.Fatal(err)
	}
	opened := time.Since(began)
	defer func() {
		if err := x.Close(); err != nil {
			b.Error(err)
		}
	}()
	began = time.Now()
	x.scan.running.Wait()
	scanned := time.Since(began)
	b.Logf("%d ids in %d generations: %.1f bytes an id on disk, %.2f µs to remember one, opened in %s, filters made in %s",
		x.Len(), len(x.live), float64(diskBytes(b, folder))/float64(ids), float64(filled.Microseconds())/float64(ids), opened, scanned)
	for name, known := range map[string]bool{"new": false, "known": true} {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				n := r.IntN(ids)
				if !known {
					n += ids
				}
				if has, err := x.Has(numbered(n)); err != nil || has != known {
					b.Fatalf("event %d is known: %v, %v", n, has, err)
				}
			}
			b.ReportMetric(float64(heap())/(1<<20), "MiB-heap")
		})
	}
}

// numbered is a key that is spread as those of events are, and cheaper.
func numbered(n int) Key {
	var k Key
	r := rand.NewPCG(uint64(n), 7)
	binary.BigEndian.PutUint64(k[:], r.Uint64())
	binary.BigEndian.PutUint64(k[8:], r.Uint64())
	return k
}

func fillIndex(b *testing.B, x *Index, ids int) {
	const chunk = 1000
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	keys := make([]Key, 0, chunk)
	for n := range ids {
		if keys = append(keys, numbered(n)); len(keys) < chunk && n < ids-1 {
			continue
		}
		at := start.Add(time.Duration(float64(x.identity.Horizon) * float64(n) / float64(ids)))
		if err := x.Commit(keys, nil, State{Mark: stream.Mark{Sequence: uint64(n), StoredAt: at}}); err != nil {
			b.Fatal(err)
		}
		keys = keys[:0]
	}
}

func diskBytes(b *testing.B, folder string) (size int64) {
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
