package emit

import (
	"sync"
	"time"
)

// item is one event on its way.
type item struct {
	raw      []byte // the structured event
	receipt  *Receipt
	deadline time.Time
}

// partition queues the events of one partition for its senders.
type partition struct {
	subject string

	mu      sync.Mutex
	queue   []item
	senders int // each has at most one message in flight
}

// add queues it and reports whether one more sender is to be started for it,
// which counts as running from now on.
func (p *partition) add(it item, inFlight int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, it)
	if p.senders >= inFlight {
		return false
	}
	p.senders++
	return true
}

// take returns the next events for one message, at least one, within both
// bounds otherwise. It returns nil when there are none; the sender that asked
// then counts as gone.
func (p *partition) take(maxEvents, maxBytes int) []item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue = nil
		p.senders--
		return nil
	}
	n, size := 0, len("[]")
	for n < len(p.queue) && n < maxEvents {
		size += len(p.queue[n].raw) + len(",")
		if n > 0 && size > maxBytes {
			break
		}
		n++
	}
	taken := make([]item, n)
	copy(taken, p.queue)
	clear(p.queue[:n])
	p.queue = p.queue[n:]
	return taken
}

// expire removes and returns the queued events whose deadline has passed.
func (p *partition) expire(now time.Time) (expired []item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, expired = splitExpired(p.queue, now)
	return expired
}

// splitExpired parts items in place by whether their deadline has passed.
func splitExpired(items []item, now time.Time) (current, expired []item) {
	current = items[:0]
	for _, it := range items {
		if now.Before(it.deadline) {
			current = append(current, it)
		} else {
			expired = append(expired, it)
		}
	}
	clear(items[len(current):])
	return current, expired
}
