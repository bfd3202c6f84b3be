package simulated

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Delivery is an open reader. It gets the messages on its subjects in the
// stream's order, each as the scheduler delivers it.
type Delivery struct {
	client   *Client
	from     *store
	subjects []string
	key      string
	next     uint64   // the first sequence that is not delivered or passed over
	newest   []uint64 // to be delivered first: the newest of each subject
	messages chan stream.Message
	open     bool // its owner has it
}

// deliver opens the reader that o asks for. Nothing is delivered to it before
// its owner has it.
func (n *Network) deliver(o *Operation, from *store) *Delivery {
	d := &Delivery{
		client: o.client, from: from, subjects: o.subjects, key: strings.Join(o.subjects, " "),
		next: max(o.from.Sequence, 1), messages: make(chan stream.Message, n.Buffer),
	}
	switch {
	case o.from.LastPerSubject:
		d.next = from.last() + 1
		seen := map[string]bool{}
		for i := from.last(); i > 0; i-- {
			if m, ok := from.get(i); ok && !seen[m.Subject] && matchesAny(d.subjects, m.Subject) {
				seen[m.Subject] = true
				d.newest = append(d.newest, i)
			}
		}
		slices.Reverse(d.newest)
	case !o.from.Since.IsZero():
		d.next = 1
		for d.next <= from.last() && from.messages[d.next-1].Time.Before(o.from.Since) {
			d.next++
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deliveries = append(n.deliveries, d)
	return d
}

// Client returns whose reader it is.
func (d *Delivery) Client() *Client { return d.client }

// String says what is read, and how far.
func (d *Delivery) String() string {
	return fmt.Sprintf("%s reads %s %s", d.client.name, d.from.Name, d.key)
}

func (d *Delivery) compare(e *Delivery) int {
	return cmp.Or(
		cmp.Compare(d.client.name, e.client.name),
		cmp.Compare(d.from.Name, e.from.Name),
		cmp.Compare(d.key, e.key),
		cmp.Compare(d.next, e.next),
		cmp.Compare(len(d.messages), len(e.messages)),
	)
}

// ready reports whether Deliver has something to deliver and room for it.
func (d *Delivery) ready() bool {
	if len(d.messages) == cap(d.messages) {
		return false
	}
	_, ok := d.upcoming()
	return ok
}

// upcoming finds the message to be delivered next, passing over what is not.
func (d *Delivery) upcoming() (stream.Message, bool) {
	for len(d.newest) > 0 {
		if m, ok := d.from.get(d.newest[0]); ok {
			return m, true
		}
		d.newest = d.newest[1:] // replaced since
	}
	for ; d.next <= d.from.last(); d.next++ {
		if m, ok := d.from.get(d.next); ok && matchesAny(d.subjects, m.Subject) {
			return m, true
		}
	}
	return stream.Message{}, false
}

// Deliver hands the next message to the reader and returns its sequence.
func (d *Delivery) Deliver() uint64 {
	m, ok := d.upcoming()
	if !ok {
		panic("a delivery without a message")
	}
	if len(d.newest) > 0 {
		d.newest = d.newest[1:]
	} else {
		d.next++
	}
	m.Pending = d.pending()
	d.messages <- m
	return m.Sequence
}

// pending counts what stands behind what was delivered.
func (d *Delivery) pending() uint64 {
	count := uint64(0)
	for _, sequence := range d.newest {
		if _, ok := d.from.get(sequence); ok {
			count++
		}
	}
	for i := d.next; i <= d.from.last(); i++ {
		if m, ok := d.from.get(i); ok && matchesAny(d.subjects, m.Subject) {
			count++
		}
	}
	return count
}

// close ends the deliveries.
func (d *Delivery) close() {
	n := d.client.network
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deliveries = slices.DeleteFunc(n.deliveries, func(other *Delivery) bool { return other == d })
}
