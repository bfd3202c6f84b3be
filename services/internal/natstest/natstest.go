// Package natstest gives a test its own NATS server: the real one, embedded,
// with JetStream on files in the test's temporary folder, in milliseconds.
package natstest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/internal/natsserver"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Server is a NATS server that can be stopped and started again on the same
// port and files, as after a crash.
type Server struct {
	*natsserver.Server
	t   testing.TB
	dir string
}

// Run starts a server that ends with the test.
func Run(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	s.start(0)
	t.Cleanup(func() { s.Server.Close() })
	return s
}

// Restart stops the server and starts it again on the same port and files.
func (s *Server) Restart() {
	s.t.Helper()
	s.Close()
	s.start(s.Port())
}

// Start starts a server that Close stopped, on the same port and files.
func (s *Server) Start() {
	s.t.Helper()
	s.start(s.Port())
}

func (s *Server) start(port int) {
	s.t.Helper()
	server, err := natsserver.Start(natsserver.Config{Dir: s.dir, Port: port, NoSync: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Server = server
}

// Connect opens a connection that ends with the test.
func (s *Server) Connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.Name(s.t.Name()))
	if err != nil {
		s.t.Fatalf("connect to the test's NATS server: %v", err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// JetStream opens a connection as Connect does and returns its JetStream.
func (s *Server) JetStream() jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.Connect())
	if err != nil {
		s.t.Fatalf("open JetStream: %v", err)
	}
	return js
}

// Installation makes the streams of an installation with that many partitions,
// and returns them with a broker of a connection of its own.
func (s *Server) Installation(partitions int) (*stream.Streams, stream.Broker) {
	s.t.Helper()
	streams, err := stream.Ensure(s.t.Context(), s.JetStream(), stream.Config{Partitions: partitions})
	if err != nil {
		s.t.Fatal(err)
	}
	broker, err := stream.NewBroker(s.Connect())
	if err != nil {
		s.t.Fatal(err)
	}
	return streams, broker
}
