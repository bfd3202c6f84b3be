package simulated

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// Network is what lies between a server and its clients. Its exported methods
// are for the scheduler's goroutine, between two moments at which every other
// goroutine waits.
type Network struct {
	Server *Server
	// Buffer is how many messages a new reader takes before its owner does;
	// default 64, as the NATS reader's.
	Buffer int

	mu         sync.Mutex
	operations []*Operation
	deliveries []*Delivery
	replies    []Reply
	waiting    map[string]chan []byte
	asked      chan struct{} // something was asked since
}

// Reply is an answer that a service gave to whoever waits for it.
type Reply struct {
	Client  string
	Subject string
	Body    []byte
}

const bufferDefault = 64

// NewNetwork returns a network around a server, with nobody on it.
func NewNetwork(s *Server) *Network {
	return &Network{Server: s, Buffer: bufferDefault, waiting: map[string]chan []byte{}, asked: make(chan struct{}, 1)}
}

// Connect returns a new client. Names that differ keep their operations in an
// order that does not depend on which of them asked first.
func (n *Network) Connect(name string) *Client {
	return &Client{network: n, name: name, logs: map[string]*log{}, interrupted: map[chan struct{}]struct{}{}}
}

// Operations returns what is asked and not answered yet, in an order that
// depends only on what it is.
func (n *Network) Operations() []*Operation {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortStableFunc(n.operations, (*Operation).compare)
	return slices.Clone(n.operations)
}

// Deliveries returns the readers that have room for a message that is there, in
// an order that depends only on what they read.
func (n *Network) Deliveries() []*Delivery {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortStableFunc(n.deliveries, (*Delivery).compare)
	var ready []*Delivery
	for _, d := range n.deliveries {
		if d.open && d.ready() {
			ready = append(ready, d)
		}
	}
	return ready
}

// Replies returns the answers given since it was last called, those of one
// client in their order.
func (n *Network) Replies() []Reply {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.replies
	n.replies = nil
	slices.SortStableFunc(taken, func(a, b Reply) int { return cmp.Compare(a.Client, b.Client) })
	return taken
}

// Subscribe returns what is replied on a subject from now on, as long as it is
// taken.
func (n *Network) Subscribe(subject string) <-chan []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting[subject] = make(chan []byte, n.Buffer)
	return n.waiting[subject]
}

func (n *Network) reply(r Reply) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replies = append(n.replies, r)
	select {
	case n.waiting[r.Subject] <- r.Body:
	default: // nobody waits
	}
}

// Close ends everything that waits: nobody knows what became of it.
func (n *Network) Close() {
	for _, o := range n.Operations() {
		o.Fail(ErrDisconnected)
	}
}

// Step lets the next thing happen as a sound network does, and reports whether
// there was one.
func (n *Network) Step() bool {
	if all := n.Operations(); len(all) > 0 {
		for !all[0].Decided() {
			all[0].Perform()
		}
		all[0].Answer()
		return true
	}
	if all := n.Deliveries(); len(all) > 0 {
		all[0].Deliver()
		return true
	}
	return false
}

// Serve is a scheduler that does nothing wrong: everything happens, in order,
// until ctx ends.
func (n *Network) Serve(ctx context.Context) {
	for ctx.Err() == nil {
		synctest.Wait()
		if n.Step() {
			continue
		}
		// A reader that was full says nothing when it has room again.
		const look = time.Millisecond
		timer := time.NewTimer(look)
		select {
		case <-n.asked:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (n *Network) submit(o *Operation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.operations = append(n.operations, o)
	select {
	case n.asked <- struct{}{}:
	default:
	}
}

func (n *Network) remove(o *Operation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.operations = slices.DeleteFunc(n.operations, func(other *Operation) bool { return other == o })
}
