// Package proxy is a TCP proxy on loopback that can be cut: every connection of
// a service to a store, and every route between two nodes of a cluster, goes
// through one, so that networks break without a privilege.
//
// A cut is one of three. Stalled, nothing passes and nobody is told, as when
// packets are dropped; what was on its way passes once the cut is healed.
// Deaf, only what the target says is stalled, so that requests arrive and their
// answers do not. Refused, connections are reset and so is every new one.
package proxy

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"
)

// Mode says what passes.
type Mode int

// The modes of a proxy.
const (
	Open Mode = iota
	Stalled
	Deaf
	Refused
)

// String names m.
func (m Mode) String() string { return [...]string{"open", "stalled", "deaf", "refused"}[m] }

// direction is one of the two in which bytes pass.
type direction int

const (
	toTarget direction = iota
	toClient
)

const dialTimeout = 5 * time.Second

// Proxy forwards connections to one target.
type Proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup
	done     chan struct{}

	mu    sync.Mutex
	mode  Mode
	gates [2]chan struct{} // closed while the direction is open
	links map[net.Conn]struct{}
	bait  []byte // what a client must say for trap to be called
	later bool   // not then, but when the client goes on behind it
	trap  func()
}

// Listen starts a proxy of target on the given address of loopback.
func Listen(address, target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", target, err)
	}
	p := &Proxy{listener: listener, target: target, done: make(chan struct{}), links: map[net.Conn]struct{}{}}
	for i := range p.gates {
		p.gates[i] = make(chan struct{})
		close(p.gates[i])
	}
	p.running.Go(p.accept)
	return p, nil
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Set cuts or heals the proxy.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	if m == Refused { // first, so that nothing that was stalled passes now
		for conn := range p.links {
			reset(conn)
		}
	}
	p.gate(toTarget, m == Stalled)
	p.gate(toClient, m == Stalled || m == Deaf)
}

// When calls do, once, right before something with text in it is passed on to
// the target: a cut that do makes comes at the worst moment. A nil do takes
// that back.
func (p *Proxy) When(text string, do func()) { p.setTrap(text, false, do) }

// Behind is When for what the client says next on the same connection, after
// it said text.
func (p *Proxy) Behind(text string, do func()) { p.setTrap(text, true, do) }

func (p *Proxy) setTrap(text string, later bool, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bait, p.later, p.trap = []byte(text), later, do
}

// spring calls what waits for said, if anything does. It is told, and tells,
// whether the connection took the bait earlier.
func (p *Proxy) spring(said []byte, baited bool) bool {
	p.mu.Lock()
	trap := p.trap
	switch {
	case trap == nil:
		baited = false
	case p.later && !baited:
		trap, baited = nil, bytes.Contains(said, p.bait)
	case p.later || bytes.Contains(said, p.bait):
		p.trap, baited = nil, false
	default:
		trap = nil
	}
	p.mu.Unlock()
	if trap != nil {
		trap()
	}
	return baited
}

// gate closes or opens one direction; the caller holds the lock.
func (p *Proxy) gate(d direction, shut bool) {
	select {
	case <-p.gates[d]:
		if shut {
			p.gates[d] = make(chan struct{})
		}
	default:
		if !shut {
			close(p.gates[d])
		}
	}
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	close(p.done)
	_ = p.listener.Close() // nothing is lost with it
	p.mu.Lock()
	for conn := range p.links {
		reset(conn)
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.add(conn) {
			continue
		}
		p.running.Go(func() { p.forward(conn) })
	}
}

// add notes a connection, so that a cut or the end can close it. It refuses
// one that comes during a cut that does, or after the end.
func (p *Proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		reset(conn)
		return false
	default:
	}
	if p.mode == Refused {
		reset(conn)
		return false
	}
	p.links[conn] = struct{}{}
	return true
}

func (p *Proxy) remove(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, conn)
	_ = conn.Close() // it may be closed already
}

// forward joins a client to the target.
func (p *Proxy) forward(client net.Conn) {
	defer p.remove(client)
	if !p.pass(toTarget) {
		return
	}
	target, err := net.DialTimeout("tcp", p.target, dialTimeout)
	if err != nil {
		return
	}
	if !p.add(target) {
		return
	}
	defer p.remove(target)
	ended := make(chan struct{}, 2)
	p.running.Go(func() { p.pump(target, client, toTarget); ended <- struct{}{} })
	p.running.Go(func() { p.pump(client, target, toClient); ended <- struct{}{} })
	<-ended
}

// pump copies one direction until it ends. During a stall not even the end
// gets through.
func (p *Proxy) pump(to, from net.Conn, d direction) {
	buffer := make([]byte, 64<<10)
	baited := false
	for {
		n, err := from.Read(buffer)
		if d == toTarget {
			baited = p.spring(buffer[:n], baited)
		}
		if !p.pass(d) {
			return
		}
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while a direction is shut, and reports false at the end.
func (p *Proxy) pass(d direction) bool {
	p.mu.Lock()
	gate := p.gates[d]
	p.mu.Unlock()
	select {
	case <-gate:
		return true
	case <-p.done:
		return false
	}
}

// reset closes a connection so that the peer sees it at once.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // otherwise it ends with a FIN, which is an end too
	}
	_ = conn.Close() // it may be closed already
}
