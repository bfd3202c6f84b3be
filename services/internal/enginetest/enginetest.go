// Package enginetest gives tests a real ClickHouse: one engine process per test
// binary, started on first use, and a fresh database per test.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
//
// Nothing skips: where the engine's library is not installed, the test fails
// and says what to run.
package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
)

// A statement that takes longer than this hangs.
const statementMax = time.Minute

// shared is the engine of this test binary.
var shared struct {
	once   sync.Once
	engine *engine.Engine
	dir    string
	err    error
	names  atomic.Int64
}

// Main is the whole TestMain of a package that uses this one: it lets the test
// binary serve as the engine, runs the tests, stops the engine and, if all is
// well, fails the run when goroutines were left behind. It does not return.
func Main(m *testing.M, leaks ...goleak.Option) {
	engine.MaybeChild()
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(leaks...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Stop ends the shared engine, if a test has started it, and removes its data.
// Only a TestMain that cannot use Main needs it, after its m.Run.
func Stop() error {
	if shared.engine != nil {
		shared.engine.Close()
	}
	if shared.dir == "" {
		return nil
	}
	if err := os.RemoveAll(shared.dir); err != nil {
		return fmt.Errorf("remove engine data: %w", err)
	}
	return nil
}

// Database creates a database of its own for t, drops it when t ends, and
// returns its DSN over the native protocol.
func Database(t testing.TB) string {
	t.Helper()
	return Engine(t).NativeDSN(NewDatabase(t, Engine(t)))
}

// NewDatabase creates a uniquely named database on e, drops it when t ends, and
// returns its name. With Engine(t), it is for tests that need other DSNs than
// Database gives.
func NewDatabase(t testing.TB, e *engine.Engine) string {
	t.Helper()
	name := fmt.Sprintf("%s_test_%d_%s", engine.Database, shared.names.Add(1), identifier(t.Name()))
	if err := run(e, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(e, "DROP DATABASE "+name+" SYNC"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// Connect opens a connection to the database of a DSN, and closes it when t ends.
func Connect(t testing.TB, dsn string) driver.Conn {
	t.Helper()
	conn, err := connect(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // of a test that has ended
	return conn
}

// Engine returns the shared engine, started on first use.
func Engine(t testing.TB) *engine.Engine {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "drawdown-engine-"); shared.err == nil {
			shared.engine, shared.err = start(context.Background(), engine.Config{Dir: shared.dir})
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.engine
}

// Start runs an engine of t's own, for tests that kill it or need their own
// settings, and closes it when t ends. What cfg leaves empty gets a value fit
// for tests: the installed library, a folder of t's, free ports.
func Start(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "engine")
	}
	e, err := start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// Kill ends the engine's process as a crash would, with SIGKILL, and returns
// when the supervisor has brought up the next one.
func Kill(t testing.TB, e *engine.Engine) {
	t.Helper()
	down := e.Down()
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", e, err)
	}
	for _, state := range []func() <-chan struct{}{func() <-chan struct{} { return down }, e.Ready} {
		select {
		case <-state():
		case <-t.Context().Done():
			t.Fatal("the test ended before the engine was back")
		case <-e.Done():
			t.Fatal("the engine stopped for good")
		}
	}
}

func start(ctx context.Context, cfg engine.Config) (*engine.Engine, error) {
	if cfg.Lib == "" {
		lib, err := engine.Locate(os.Getenv("DRAWDOWN_ENGINE_LIB"))
		if err != nil {
			return nil, err
		}
		cfg.Lib = lib
	}
	return engine.Start(ctx, cfg)
}

func run(e *engine.Engine, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementMax)
	defer cancel()
	conn, err := connect(e.NativeDSN(engine.Database))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("run %q: %w", statement, err)
	}
	return nil
}

func connect(dsn string) (driver.Conn, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the DSN of ClickHouse: %w", err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	return conn, nil
}

// identifier turns a test's name into a part of a database's name.
func identifier(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
	return plain[:min(len(plain), 60)]
}
