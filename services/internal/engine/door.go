package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// door decides who gets in as ClickHouse's user "default". The engine opens its
// own first session by that name, without a password and before it serves
// anybody, and asks here whether to let it in: yes, that one time, and no to
// everybody after it. It stays open as long as the engine, so that nobody else
// can answer in its place.
//
// Two simpler ways do not hold: a limit of one session lets anybody crash the
// engine over the native protocol, and a quota does not count the first session.
type door struct {
	url    string
	opened atomic.Bool
	server *http.Server
	done   chan struct{}
}

func openDoor(logger *slog.Logger) (*door, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for the engine's first session: %w", err)
	}
	path := "/" + rand.Text() // so that no other process can use up the one yes
	d := &door{url: "http://" + listener.Addr().String() + path, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		if !d.opened.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(d.done)
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("door of the clickhouse engine failed", "err", err)
		}
	}()
	return d, nil
}

// open lets the next one in.
func (d *door) open() { d.opened.Store(true) }

// shut lets nobody in.
func (d *door) shut() { d.opened.Store(false) }

// close ends the door and waits for those it is talking to.
func (d *door) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close() // a connection that idles; nothing is lost
	}
	<-d.done
}
