package rater

import (
	"fmt"
	"runtime"
	"testing"
)

func TestKeysOfDifferentEventsDiffer(t *testing.T) {
	t.Parallel()
	if keyOf("a", "bc") == keyOf("ab", "c") || keyOf("a", "") == keyOf("", "a") {
		t.Error("the border between source and id is lost")
	}
	if first, again := keyOf("a", "b"), keyOf("a", "b"); first != again {
		t.Error("one event has two keys")
	}
}

func TestDedupForgetsOnlyWhatItIsTold(t *testing.T) {
	t.Parallel()
	d := newDedup()
	a, b := keyOf("s", "a"), keyOf("s", "b")
	if !d.add(a) || !d.add(b) || d.add(a) {
		t.Error("add does not tell new from known")
	}
	d.remove([]eventKey{b})
	if !d.has(a) || d.has(b) || d.len() != 1 {
		t.Error("remove forgot the wrong key")
	}
}

// BenchmarkDedupMemory reports the memory of one remembered event, right after
// the map grew and right before it grows again.
func BenchmarkDedupMemory(b *testing.B) {
	for _, n := range []int{1_000_000, 1_700_000, 2_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				before := heapInUse()
				d := newDedup()
				for i := range n {
					d.add(keyOf("/source", fmt.Sprint(i)))
				}
				b.ReportMetric(float64(heapInUse()-before)/float64(n), "B/id")
				runtime.KeepAlive(d)
			}
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
