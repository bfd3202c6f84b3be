package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout   = 10 * time.Second
	writeTimeout    = 60 * time.Second // streams of signals set their own
	idleTimeout     = 120 * time.Second
	headerMax       = 64 << 10
	shutdownTimeout = 10 * time.Second
)

// Serve answers on l until ctx ends. It then ends streams of signals, gives
// requests under way ten seconds and returns nil, or the error that stopped it
// earlier. It closes l, not the gateway.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: g.handler, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerMax, ErrorLog: slog.NewLogLogger(g.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	g.endStreams()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		g.Logger.Warn("requests cut off at shutdown")
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("shut HTTP down on %s: %w", l.Addr(), err)
	}
	return nil
}
