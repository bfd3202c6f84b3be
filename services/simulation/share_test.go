package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// share is a lease.Share that says what the scheduler wants, also what no sound
// one would: several instances have the same partition at the same time.
type share struct {
	parts   int // there are
	mu      sync.Mutex
	has     map[int]bool
	changed chan struct{} // closed when has changes
	held    map[int]*lease.Held
}

func newShare(parts int, has []int) *share {
	s := &share{parts: parts, has: map[int]bool{}, changed: make(chan struct{}), held: map[int]*lease.Held{}}
	for _, p := range has {
		s.has[p] = true
	}
	return s
}

func (s *share) list() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []int
	for p := range s.parts {
		if s.has[p] {
			parts = append(parts, p)
		}
	}
	return parts
}

func (s *share) set(p int, has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has[p] == has {
		return
	}
	s.has[p] = has
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *share) give(p int) { s.set(p, true) }

func (s *share) toggle(p int) { s.set(p, !s.holds(p)) }

func (s *share) holds(p int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has[p]
}

// Run implements lease.Share.
func (s *share) Run(ctx context.Context, work lease.Work) error {
	var running sync.WaitGroup
	for p := range s.parts {
		running.Go(func() { s.keep(ctx, p, work) })
	}
	running.Wait()
	return nil
}

// keep works on partition p whenever the instance has it.
func (s *share) keep(ctx context.Context, p int, work lease.Work) {
	for ctx.Err() == nil {
		s.mu.Lock()
		has, changed := s.has[p], s.changed
		s.mu.Unlock()
		if !has {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		s.hold(ctx, p, work)
	}
}

// hold works on partition p until it is taken.
func (s *share) hold(ctx context.Context, p int, work lease.Work) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		for {
			s.mu.Lock()
			has, changed := s.has[p], s.changed
			s.mu.Unlock()
			if !has {
				cancel()
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	for ctx.Err() == nil {
		held := &lease.Held{Partition: p}
		s.mu.Lock()
		s.held[p] = held
		s.mu.Unlock()
		work(ctx, held)
		_ = pause.For(ctx, time.Second) // the loop ends with ctx too
	}
}

// report is what was last said of a partition that is held.
func (s *share) report(p int) lease.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[p] == nil || !s.has[p] {
		return lease.Report{}
	}
	return s.held[p].Last()
}

// stopped says why a partition that is held is stopped, if one is.
func (s *share) stopped() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.parts {
		if h := s.held[p]; h != nil && s.has[p] && h.Last().State == lease.StateStopped {
			return fmt.Sprintf("partition %d: %s", p, h.Last().Error)
		}
	}
	return ""
}
