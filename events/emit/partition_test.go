package emit

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// partitionModel drives one partition with one or two senders, a spooler and a
// drainer whose every step the test decides.
type partitionModel struct {
	p        *partition
	inFlight int // the most messages
	emitted  int
	senders  int     // running without a message
	sent     []batch // in flight
	disk     []item  // in the spool
	draining []item  // read from it
	stored   []int   // by the stream, the first time each
	seen     map[int]bool
}

func newPartitionModel(inFlight int) *partitionModel {
	return &partitionModel{
		p:        &partition{spooler: newSpooler(nil, nil, slog.New(slog.DiscardHandler))},
		inFlight: inFlight, seen: make(map[int]bool),
	}
}

func number(it item) int {
	n, err := strconv.Atoi(string(it.raw))
	if err != nil {
		panic(err)
	}
	return n
}

func (m *partitionModel) store(items []item) {
	for _, it := range items {
		if n := number(it); !m.seen[n] {
			m.seen[n] = true
			m.stored = append(m.stored, n)
		}
	}
}

func (m *partitionModel) emit() {
	m.started(m.p.add(item{raw: []byte(strconv.Itoa(m.emitted))}, m.inFlight))
	m.emitted++
}

func (m *partitionModel) started(start bool) {
	if start {
		m.senders++
	}
}

// send lets a sender take a message. It reports whether it took one of a
// partition that is failing.
func (m *partitionModel) send(most int) (wrongly bool) {
	if m.senders == 0 {
		return false
	}
	m.senders--
	failing := m.p.failing
	b, ok := m.p.take(most, 1<<20)
	if ok {
		m.sent = append(m.sent, b)
	}
	return ok && failing
}

// answer ends a message in flight; stored and acknowledged may differ.
func (m *partitionModel) answer(which int, stored, acknowledged bool) {
	if len(m.sent) == 0 {
		return
	}
	which %= len(m.sent)
	b := m.sent[which]
	m.sent = slices.Delete(m.sent, which, which+1)
	if stored || acknowledged {
		m.store(b.items)
	}
	if acknowledged {
		m.senders++
	} else {
		m.p.giveBack(b)
	}
}

// write lets the spooler write at most n events; the disk fails for the rest.
func (m *partitionModel) write(n int) {
	taken, _ := m.p.spooler.take()
	n = min(n, len(taken))
	for _, d := range taken[:n] {
		m.p.moved(1, 1)
		m.disk = append(m.disk, d.item)
	}
	var err error
	if n < len(taken) {
		err = errors.New("disk")
	}
	m.p.spooler.wrote(taken[n:], err)
}

// read lets the drainer read n events.
func (m *partitionModel) read(n int, catchUp bool) {
	if n = min(n, len(m.disk)); n == 0 || len(m.draining) > 0 {
		return
	}
	if catchUp {
		m.p.catchUp()
	}
	m.draining, m.disk = slices.Clone(m.disk[:n]), m.disk[n:]
	m.p.read(n)
}

// drained answers what the drainer sent.
func (m *partitionModel) drained(acknowledged bool) {
	switch {
	case len(m.draining) == 0:
	case acknowledged:
		m.store(m.draining)
		m.draining = nil
		m.p.delivered()
		m.started(m.p.resume(false))
	default:
		m.p.fail()
	}
}

// resume is what the drainer does before it reads.
func (m *partitionModel) resume() { m.started(m.p.resume(m.p.spooler.stuck() != nil)) }

// stall is what the drainer does when it cannot go on. It reports whether events
// wait for it all the same.
func (m *partitionModel) stall() bool {
	m.p.stall()
	return m.p.spooled() && len(m.p.queue) > 0
}

func numbers(items []item) (all []int) {
	for _, it := range items {
		all = append(all, number(it))
	}
	return all
}

// check checks what must hold after every step: what is not stored stands in
// order, and with one message in flight so does what is.
func (m *partitionModel) check(t *rapid.T) {
	line := slices.Concat(m.draining, m.disk)
	for _, d := range m.p.spooler.waiting {
		line = append(line, d.item)
	}
	line = append(line, m.p.queue...)
	if !slices.IsSorted(numbers(line)) {
		t.Fatalf("events wait out of order: %v", numbers(line))
	}
	if len(m.sent)+m.senders > 0 && m.p.spooled() {
		t.Fatal("a sender runs beside the spool")
	}
	for i, n := range m.stored {
		if m.inFlight == 1 && i != n {
			t.Fatalf("stored %v: out of order, or with a gap", m.stored)
		}
	}
}

func TestEventsWaitInMemoryOnceTheSpoolIsNearlyDelivered(t *testing.T) {
	m := newPartitionModel(1)
	m.emit()
	m.send(1)
	m.answer(0, false, false) // to the spool
	m.write(1)
	m.read(1, true)
	m.emit() // behind it
	m.drained(true)
	m.write(1)
	m.emit()
	m.read(1, true)
	m.emit()
	if len(m.p.queue) != 2 || m.p.waiting != 0 {
		t.Errorf("%d events wait in memory, and %d go to the spool; want 2 and none", len(m.p.queue), m.p.waiting)
	}
}

func TestAPartitionKeepsItsOrderThroughTheSpoolAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newPartitionModel(rapid.IntRange(1, 2).Draw(t, "messages in flight"))
		few, yes := rapid.IntRange(0, 3), rapid.Bool()
		send := func(t *rapid.T) {
			if m.send(1 + few.Draw(t, "most")) {
				t.Fatal("a sender took a message after another had failed")
			}
		}
		answer := func(t *rapid.T) {
			m.answer(few.Draw(t, "which"), yes.Draw(t, "stored"), yes.Draw(t, "acknowledged"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"emit": func(*rapid.T) { m.emit() }, "emit again": func(*rapid.T) { m.emit() },
			"send": send, "send again": send,
			"answer": answer, "answer again": answer,
			"write":     func(t *rapid.T) { m.write(few.Draw(t, "n")) },
			"write all": func(*rapid.T) { m.write(1 << 20) },
			"read":      func(t *rapid.T) { m.read(1+few.Draw(t, "n"), yes.Draw(t, "catch up")) },
			"drained":   func(t *rapid.T) { m.drained(yes.Draw(t, "acknowledged")) },
			"resume":    func(*rapid.T) { m.resume() },
			"stall": func(t *rapid.T) {
				if m.stall() {
					t.Fatal("events wait in memory for a spool that stands still")
				}
			},
			"": m.check,
		})
		for range 5 { // all is well again
			m.write(1 << 20)
			m.read(1<<20, true)
			m.drained(true)
			m.resume()
			for m.senders+len(m.sent) > 0 {
				m.send(10)
				m.answer(0, true, true)
			}
		}
		m.check(t)
		if len(m.stored) != m.emitted {
			t.Fatalf("stored %d of %d events", len(m.stored), m.emitted)
		}
	})
}
