package process

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports of the programs lie below those the system gives to outgoing
// connections: otherwise one of these could take the port of a program that
// is down.
const (
	portMin = 12_000
	portMax = 32_000
)

var taken sync.Map

// Port returns a port of loopback that nobody listens on, never the same twice.
func Port() (int, error) {
	for range 1000 {
		port := portMin + rand.IntN(portMax-portMin)
		if _, twice := taken.LoadOrStore(port, true); twice {
			continue
		}
		listener, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, errors.New("find a free port on loopback: none in 1000 tries")
}

// Loopback is the address of a port on loopback.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
