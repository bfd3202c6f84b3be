package enforcer

import (
	"runtime"
	"testing"
	"weak"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

// A connection may live for months, and partitions come and go meanwhile.
func TestASessionKeepsNothingOfAPartitionThatIsGone(t *testing.T) {
	e := &Enforcer{held: map[int]*partition{}, changed: make(chan struct{}, 1)}
	s := &session{Enforcer: e}
	gone := comeAndGo(t, s)
	runtime.GC()
	if gone.Value() != nil {
		t.Error("the partition, and what its accounts were told, is still there")
	}
	runtime.KeepAlive(s)
}

// comeAndGo lets s begin a partition that is given up afterwards.
//
//go:noinline
func comeAndGo(t *testing.T, s *session) weak.Pointer[partition] {
	p := newPartition(s.Enforcer, &lease.Held{})
	s.hold(p)
	if s.hasBegun(p) {
		t.Error("begun already")
	}
	s.begin(map[*partition]bool{p: true})
	if !s.hasBegun(p) {
		t.Error("not begun")
	}
	s.release(p)
	return weak.Make(p)
}
