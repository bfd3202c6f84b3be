package emit

import (
	"container/list"
	"context"
	"sync"
)

// gate bounds how much is pending. Those who wait are let in in order, so that
// a large one is not passed by small ones for ever.
type gate struct {
	mu      sync.Mutex
	events  int // left
	bytes   int // left
	waiting list.List
}

type waiter struct {
	events, bytes int
	admitted      chan struct{}
}

func newGate(events, bytes int) *gate { return &gate{events: events, bytes: bytes} }

// acquire takes events and bytes, waiting for them until ctx ends.
func (g *gate) acquire(ctx context.Context, events, bytes int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.waiting.Len() == 0 && g.take(events, bytes) {
		g.mu.Unlock()
		return nil
	}
	w := &waiter{events: events, bytes: bytes, admitted: make(chan struct{})}
	place := g.waiting.PushBack(w)
	g.mu.Unlock()

	select {
	case <-w.admitted:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.admitted: // at the same moment: give it back
		g.put(events, bytes)
	default:
		g.waiting.Remove(place)
		g.put(0, 0) // who stood behind may fit
	}
	return ctx.Err()
}

func (g *gate) release(events, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(events, bytes)
}

// left returns how much may still be taken.
func (g *gate) left() (events, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events, g.bytes
}

func (g *gate) take(events, bytes int) bool {
	if g.events < events || g.bytes < bytes {
		return false
	}
	g.events -= events
	g.bytes -= bytes
	return true
}

func (g *gate) put(events, bytes int) {
	g.events += events
	g.bytes += bytes
	for front := g.waiting.Front(); front != nil; front = g.waiting.Front() {
		w := front.Value.(*waiter)
		if !g.take(w.events, w.bytes) {
			return
		}
		g.waiting.Remove(front)
		close(w.admitted)
	}
}
