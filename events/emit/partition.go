package emit

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// item is one event on its way.
type item struct {
	raw      []byte   // the structured event
	receipt  *Receipt // nil once the spool has it
	deadline time.Time
	time     time.Time // the event's own
}

// batch is what one sender took for one message.
type batch struct {
	number int // in the order they were taken
	items  []item
}

// partition queues the events of one partition for its senders, or sends them
// to the spool: while the spool holds some of its events, later ones go behind
// those. So its events stand, in order, in three places: what is draining or
// taken by senders, what is in or on its way to the spool, and the queue.
// Senders and spooled events exclude each other.
type partition struct {
	index   int
	subject string
	spooler *spooler // nil without a spool

	wire sync.Mutex // held from taking a message to sending it, so that they go in order

	mu      sync.Mutex
	queue   []item
	taken   int
	senders int // each has at most one message in flight

	failing  bool    // the last attempt failed: events go to the spool
	catching bool    // the spool is nearly delivered: events wait for that in the queue
	returned []batch // by senders, not acknowledged; spooled when no sender is left
	waiting  int     // events on their way to the spool
	kept     int     // events in the spool
	draining int     // events of the spool being delivered
}

// add queues or spools it, and reports whether one more sender is to be started,
// which counts as running from now on.
func (p *partition) add(it item, inFlight int) (start bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spooling() {
		p.put(it)
		return false
	}
	p.queue = append(p.queue, it)
	if p.failing || p.spooled() || p.senders >= inFlight {
		return false
	}
	p.senders++
	return true
}

// spooling reports that events go to the spool.
func (p *partition) spooling() bool {
	if p.spooler == nil || p.senders > 0 {
		return false
	}
	return p.failing || p.waiting+p.kept > 0 && !p.catching
}

// spooled reports that events before the queue have not left the spool.
func (p *partition) spooled() bool { return p.waiting+p.kept+p.draining > 0 }

// put sends items to the spool.
func (p *partition) put(items ...item) {
	p.waiting += len(items)
	p.spooler.put(p, items)
}

// take returns the next events for one message, at least one, within both
// bounds otherwise. Without any, ok is false; the sender that asked then counts
// as gone.
func (p *partition) take(maxEvents, maxBytes int) (b batch, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.failing {
		p.leave()
		return batch{}, false
	}
	n := cut(p.queue, maxEvents, maxBytes)
	taken := make([]item, n)
	copy(taken, p.queue)
	clear(p.queue[:n])
	p.queue = p.queue[n:]
	p.taken++
	return batch{number: p.taken, items: taken}, true
}

// cut returns how many of items, at least one of them, fit into one message.
func cut(items []item, maxEvents, maxBytes int) int {
	n, size := 0, len("[]")
	for n < len(items) && n < maxEvents {
		size += len(items[n].raw) + len(",")
		if n > 0 && size > maxBytes {
			break
		}
		n++
	}
	return n
}

// giveBack returns a batch whose sending failed; the sender counts as gone. What
// is not acknowledged goes to the spool.
func (p *partition) giveBack(b batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = true
	p.returned = append(p.returned, b)
	p.leave()
}

// leave counts a sender as gone. The last one spools what they returned, in the
// order it was taken, and what is queued behind it.
func (p *partition) leave() {
	p.senders--
	if p.senders > 0 {
		return
	}
	if p.failing {
		p.spill()
	} else if len(p.queue) == 0 {
		p.queue = nil
	}
}

// spill sends what the senders returned and what is queued to the spool.
func (p *partition) spill() {
	slices.SortFunc(p.returned, func(a, b batch) int { return cmp.Compare(a.number, b.number) })
	for _, b := range p.returned {
		p.put(b.items...)
	}
	p.put(p.queue...)
	p.returned, p.queue, p.catching = nil, nil, false
}

// fail notes that the spool's events of p cannot be delivered at present.
func (p *partition) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = true
	p.spill()
}

// stall notes that nothing leaves the spool at present: what waits for that goes
// there too.
func (p *partition) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.senders == 0 && p.spooled() {
		p.spill()
	}
}

// abandon spools what is queued, once nothing is emitted or sent any more.
func (p *partition) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spill()
}

// read notes that n events of the spool are being delivered.
func (p *partition) read(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept -= n
	p.draining += n
}

// catchUp makes events wait in the queue from now on: what is still in the spool
// will be delivered soon. Without it a spool that is written as fast as it is
// read would stay in use for ever.
func (p *partition) catchUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catching = true
}

// delivered notes that what was read from the spool is stored.
func (p *partition) delivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = 0
	p.failing = false
}

// moved notes that n events on their way to the spool are in it, or with kept
// = 0 have failed.
func (p *partition) moved(n, kept int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting -= n
	p.kept += kept
}

// resume reports whether a sender is to be started for events that waited for
// the spool; it counts as running from now on. With recall, events that cannot
// be spooled are sent as well, when none of theirs is in the spool.
func (p *partition) resume(recall bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if recall && p.waiting > 0 && p.kept == 0 && p.draining == 0 {
		items := p.spooler.recall(p)
		p.waiting -= len(items)
		p.queue = append(items, p.queue...)
		p.failing = p.failing && p.waiting > 0
	}
	if p.failing || p.spooled() || p.senders > 0 {
		return false
	}
	p.catching = false
	if len(p.queue) == 0 {
		return false
	}
	p.senders++
	return true
}

// expire removes and returns the queued events whose deadline has passed.
func (p *partition) expire(now time.Time) (expired []item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, expired = splitExpired(p.queue, now)
	return expired
}

// overdue reports whether the deadline of a queued event has passed.
func (p *partition) overdue(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return anyExpired(p.queue, now)
}

func anyExpired(items []item, now time.Time) bool {
	return slices.ContainsFunc(items, func(it item) bool { return !now.Before(it.deadline) })
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
