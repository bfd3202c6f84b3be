package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

const (
	loopback = "127.0.0.1"
	// Picked ports lie below the range from which systems give ports to
	// outgoing connections, so that none of those takes a port while the engine
	// restarts.
	pickFrom, pickTo = 20000, 32000
	pickTries        = 100
)

// choosePorts returns the wanted ports after checking that they are free, and
// picks free ones for those that are 0.
func choosePorts(http, native int) (int, int, error) {
	if http != 0 && http == native {
		return 0, 0, fmt.Errorf("port %d cannot serve both ClickHouse HTTP and native; choose two ports", http)
	}
	http, err := choosePort("HTTP", http, native)
	if err != nil {
		return 0, 0, err
	}
	native, err = choosePort("native", native, http)
	return http, native, err
}

func choosePort(protocol string, wanted, other int) (int, error) {
	if wanted != 0 {
		return wanted, checkPort(protocol, wanted)
	}
	for range pickTries {
		port := pickFrom + rand.IntN(pickTo-pickFrom)
		if port != other && checkPort(protocol, port) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port for ClickHouse %s on %s: %d tries in %d-%d",
		protocol, loopback, pickTries, pickFrom, pickTo-1)
}

func checkPort(protocol string, port int) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d for ClickHouse %s on %s is taken; stop the program that uses it, or configure another port (0 picks a free one)",
			port, protocol, loopback)
	}
	if err != nil {
		return fmt.Errorf("check port %d for ClickHouse %s: %w", port, protocol, err)
	}
	return listener.Close()
}
