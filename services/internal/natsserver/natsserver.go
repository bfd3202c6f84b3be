// Package natsserver runs the NATS server inside the process, on loopback,
// with JetStream on disk. It is the same server that production runs by
// itself; services reach both by URL over a client connection.
//
// Every acknowledged message is on disk: the server syncs each write before it
// answers. Streams that can be rebuilt opt out one by one.
package natsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// MaxPayload is the largest message the server takes, in bytes. It is well
// above what a usage event may be, so that one too large reaches the dead
// letters instead of vanishing at a publisher.
const MaxPayload = 8 << 20

const (
	host          = "127.0.0.1"
	user          = "drawdown"
	readyTimeout  = 30 * time.Second
	minFreeBytes  = 256 << 20
	maxPendingOut = 64 << 20
)

// Config says where the server keeps its streams and how it is reached.
type Config struct {
	Dir      string // JetStream's folder; created when missing
	Port     int    // 0 picks a free one
	Password string // for the user "drawdown"; empty admits everyone
	// NoSync acknowledges writes before they are synced to disk. For tests.
	NoSync bool
	Logger *slog.Logger
}

// Server is a running NATS server.
type Server struct {
	server   *server.Server
	port     int
	password string
}

// Start runs a server and returns when it accepts connections. Its errors say
// what to change: a port that is taken, a folder that cannot be written or a
// disk that is full.
func Start(c Config) (*Server, error) {
	if err := prepare(c.Dir); err != nil {
		return nil, err
	}
	if err := portFree(c.Port); err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName: "drawdown", Host: host, Port: c.Port,
		JetStream: true, StoreDir: c.Dir, SyncAlways: !c.NoSync,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 1 << 40,
		MaxPayload: MaxPayload, MaxPending: maxPendingOut,
		NoSigs: true, NoLog: c.Logger == nil, DisableShortFirstPing: true,
	}
	if c.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	if c.Password != "" {
		options.Users = []*server.User{{Username: user, Password: c.Password}}
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("configure NATS server: %w", err)
	}
	if c.Logger != nil {
		ns.SetLoggerV2(&logger{log: c.Logger}, false, false, false)
	}
	ns.Start()
	if !ns.ReadyForConnections(readyTimeout) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("start NATS server in %s: not ready after %s, see the log", c.Dir, readyTimeout)
	}
	return &Server{server: ns, port: ns.Addr().(*net.TCPAddr).Port, password: c.Password}, nil
}

// Port is the TCP port on loopback.
func (s *Server) Port() int { return s.port }

// URL is where clients connect, with the password in it.
func (s *Server) URL() string {
	u := url.URL{Scheme: "nats", Host: net.JoinHostPort(host, strconv.Itoa(s.port))}
	if s.password != "" {
		u.User = url.UserPassword(user, s.password)
	}
	return u.String()
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the folder for streams: %w", err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minFreeBytes {
		return fmt.Errorf("the disk of %s is full: %d MiB free, at least %d needed; free some space or choose another folder with --data",
			dir, free>>20, minFreeBytes>>20)
	}
	return nil
}

// portFree looks before the server does, because the server only logs that it
// could not listen.
func portFree(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d, for NATS, is taken on %s; stop what uses it or choose another with --nats-port", port, host)
	}
	if err != nil {
		return fmt.Errorf("listen on port %d for NATS: %w", port, err)
	}
	return listener.Close()
}
