// Package engine runs the genuine ClickHouse engine as a child process of this
// binary: HTTP and native protocol on 127.0.0.1, data in one folder, no Docker.
//
// The engine comes as the library libchdb.so, which the child loads without
// cgo. It is meant for laptops, tests and small single machines; production
// points the services at a ClickHouse server by DSN instead, and nothing but
// the DSN differs.
//
// Invariants:
//   - The child ends when this process does, however it ends: it holds the
//     reading end of a pipe and stops at its end.
//   - One folder has at most one engine. The lock is shared with the child, so
//     it outlives a killed parent until the child is gone as well.
//   - Ports and passwords, and so every DSN, stay the same over restarts.
//   - Passwords are random per folder, kept in a file only the owner may read,
//     and never logged.
//
// It does not notice an engine that lives but hangs, and it creates no table.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// Database is the database that exists as soon as an engine has started,
	// and the only one the analyst may read. Services have full rights on every
	// database whose name starts with it, and on no other.
	Database = "drawdown"

	defaultMemoryBytes  = 2 << 30
	defaultMinFreeBytes = 256 << 20
	startAttempts       = 3
)

// Config says where and how to run an engine. Lib and Dir are required.
type Config struct {
	Lib          string       // path of libchdb.so, see Locate
	Dir          string       // data folder, created when missing
	HTTPPort     int          // 0 picks a free port
	NativePort   int          // 0 picks a free port
	MemoryBytes  int64        // cap on what the engine allocates; 0 means 2 GiB
	MinFreeBytes int64        // least free disk space to start with; 0 means 256 MiB
	Logger       *slog.Logger // nil discards
}

// Engine is a running ClickHouse engine and its supervisor. All methods may be
// called from several goroutines.
type Engine struct {
	cfg         Config
	credentials credentials
	lock        *os.File
	door        *door
	cancel      context.CancelFunc
	done        chan struct{}

	mu    sync.Mutex
	ready chan struct{} // closed while the engine answers
	down  chan struct{} // closed while it does not
	pid   int           // 0 while no child runs
}

// Start runs an engine on cfg.Dir and returns once both protocols answer. A
// child that dies later is started again, with growing pauses, until ctx ends
// or Close is called. An engine that ends three times without ever answering is
// an error, which carries the end of its log. The binary must call MaybeChild
// first thing in main.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	if !hooked.Load() {
		return nil, errors.New("engine.MaybeChild was not called at the top of main or TestMain")
	}
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if !fenced() {
		cfg.Logger.Warn("this system cannot fence the clickhouse engine: its users, analyst included, can read what this process can read")
	}
	e := &Engine{cfg: cfg, done: make(chan struct{}), ready: make(chan struct{}), down: make(chan struct{})}
	close(e.down)
	ctx, e.cancel = context.WithCancel(ctx)
	first, err := e.prepare(ctx)
	if err != nil {
		e.cancel()
		return nil, errors.Join(err, e.release())
	}
	e.setReady(first)
	go e.supervise(ctx, first)
	return e, nil
}

// prepare takes the folder and brings up the first child.
func (e *Engine) prepare(ctx context.Context) (first *process, err error) {
	if e.lock, err = openFolder(ctx, e.cfg); err != nil {
		return nil, err
	}
	if e.credentials, err = loadCredentials(e.cfg.Dir); err != nil {
		return nil, err
	}
	if e.door, err = openDoor(e.cfg.Logger); err != nil {
		return nil, err
	}
	return e.firstStart(ctx)
}

// release gives back what prepare took.
func (e *Engine) release() error {
	if e.door != nil {
		e.door.close()
	}
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}

// NativeDSN is the address of a database for the services' user over
// ClickHouse's native protocol. It contains the password.
func (e *Engine) NativeDSN(database string) string {
	return e.dsn("clickhouse", e.cfg.NativePort, userServices, e.credentials.Services, database)
}

// HTTPDSN is the same address over HTTP. It contains the password.
func (e *Engine) HTTPDSN(database string) string {
	return e.dsn("http", e.cfg.HTTPPort, userServices, e.credentials.Services, database)
}

// AnalystNativeDSN is the address of Database for the read-only user over the
// native protocol. It contains the password.
func (e *Engine) AnalystNativeDSN() string {
	return e.dsn("clickhouse", e.cfg.NativePort, userAnalyst, e.credentials.Analyst, Database)
}

// AnalystHTTPDSN is the same address over HTTP. It contains the password.
func (e *Engine) AnalystHTTPDSN() string {
	return e.dsn("http", e.cfg.HTTPPort, userAnalyst, e.credentials.Analyst, Database)
}

// Ready returns a channel that is closed while the engine answers. After a
// crash a new, open channel takes its place, so ask again for each wait.
func (e *Engine) Ready() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ready
}

// Down returns a channel that is closed while the engine does not answer. After
// a restart a new, open channel takes its place.
func (e *Engine) Down() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}

// Done is closed when the engine has stopped for good, after Close or the end
// of the context given to Start.
func (e *Engine) Done() <-chan struct{} { return e.done }

// PID is the process id of the engine's child, or 0 while none answers.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// Close stops the engine cleanly and waits for its end. Close its clients first:
// the engine gives those that are still connected five seconds. One that does
// not stop in time is killed, which loses nothing it has acknowledged. Closing
// again does nothing.
func (e *Engine) Close() {
	e.cancel()
	<-e.done
}

// String names the engine without its passwords.
func (e *Engine) String() string {
	return fmt.Sprintf("clickhouse engine (pid %d, http %s, native %s)",
		e.PID(), e.address(e.cfg.HTTPPort), e.address(e.cfg.NativePort))
}

func (e *Engine) dsn(scheme string, port int, user string, password secret, database string) string {
	dsn := url.URL{
		Scheme: scheme,
		User:   url.UserPassword(user, string(password)),
		Host:   e.address(port),
		Path:   "/" + database,
	}
	return dsn.String()
}

func (e *Engine) address(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}

// setReady publishes that p answers, setDown that no child does.
func (e *Engine) setReady(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = p.pid()
	close(e.ready)
	e.down = make(chan struct{})
	e.cfg.Logger.Info("clickhouse engine answers", "pid", e.pid,
		"http_port", e.cfg.HTTPPort, "native_port", e.cfg.NativePort)
}

func (e *Engine) setDown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = 0
	e.ready = make(chan struct{})
	close(e.down)
}

// complete fills in the defaults and makes the paths absolute, because the
// child runs in the data folder.
func (c Config) complete() (Config, error) {
	if c.Lib == "" || c.Dir == "" {
		return c, errors.New("engine config needs the library's path and a data folder")
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = defaultMemoryBytes
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = defaultMinFreeBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if !isFile(c.Lib) {
		return c, missing(c.Lib)
	}
	var err error
	if c.Lib, err = filepath.Abs(c.Lib); err != nil {
		return c, fmt.Errorf("resolve engine library: %w", err)
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, fmt.Errorf("resolve data folder: %w", err)
	}
	return c, nil
}

// sleep waits for d and reports whether ctx is still running.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
