package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestKilledEngineComesBackWithItsData(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t, engine.Config{})
	native, http := e.NativeDSN(engine.Database), e.HTTPDSN(engine.Database)
	mustExec(t, open(t, native),
		"CREATE TABLE entries (seq UInt64) ENGINE = MergeTree ORDER BY seq",
		"INSERT INTO entries SELECT number FROM numbers(1000)")
	for range 3 {
		before := e.PID()
		enginetest.Kill(t, e)
		if after := e.PID(); after == before || after == 0 {
			t.Fatalf("process %d after the kill of %d, want a new one", after, before)
		}
		if e.NativeDSN(engine.Database) != native || e.HTTPDSN(engine.Database) != http {
			t.Fatal("a DSN changed over the restart")
		}
		for _, dsn := range []string{native, http} {
			if count := scalar(t, open(t, dsn), "SELECT count() FROM entries"); count != "1000" {
				t.Errorf("%s rows after the restart, want 1000", count)
			}
		}
	}
}

func TestEngineThatCannotRestartIsTriedUntilItCan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	failures := make(chan struct{}, 100)
	e := enginetest.Start(t, engine.Config{Dir: dir, Logger: slog.New(onMessage{
		slog.DiscardHandler, "clickhouse engine did not restart", failures,
	})})
	config := filepath.Join(dir, "settings", "config.xml")
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("<broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 4 { // more than a start may fail
		<-failures
	}
	if e.PID() != 0 {
		t.Error("a process id although no engine answers")
	}
	if err := os.WriteFile(config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	<-e.Ready()
	if one := scalar(t, open(t, e.NativeDSN(engine.Database)), "SELECT 1"); one != "1" {
		t.Errorf("got %s, want 1", one)
	}
}

// The engine's release would abort at each of these, were it not for the
// terminal it gets.
func TestBadClientsDoNotStopTheEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := enginetest.Start(t, engine.Config{Dir: dir})
	pid := e.PID()
	for _, dsn := range []string{e.NativeDSN(engine.Database), e.HTTPDSN(engine.Database)} {
		address, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		address.User = url.UserPassword("drawdown", "guess")
		if open(t, address.String()).Ping(t.Context()) == nil {
			t.Fatal("a wrong password was let in")
		}
		for _, said := range []string{"", "GET / HTTP/1.1\r\n\r\n", "\x00\xff\xff\xff"} {
			hangUp(t, address.Host, said)
		}
	}
	if one := scalar(t, open(t, e.NativeDSN(engine.Database)), "SELECT 1"); one != "1" || e.PID() != pid {
		t.Errorf("got %s from process %d, want 1 from the same process %d", one, e.PID(), pid)
	}
	e.Close()
	log, err := os.ReadFile(filepath.Join(dir, "log", "engine.log"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(log, []byte("<Fatal>")) {
		t.Error("the engine was aborting when it was closed")
	}
}

// hangUp says something to address and resets the connection.
func hangUp(t *testing.T, address, said string) {
	t.Helper()
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, said); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEngineEndsWithItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := startVictim(t, dir)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed, which is the point
	// The folder's lock is shared with the engine's process, so this start
	// succeeds only when that process is gone.
	e := enginetest.Start(t, engine.Config{Dir: dir})
	if n := scalar(t, open(t, e.NativeDSN(engine.Database)), "SELECT n FROM survivors"); n != "42" {
		t.Errorf("read %s after the parent was killed, want 42", n)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	running := goleak.IgnoreCurrent()
	e := enginetest.Start(t, engine.Config{})
	pid, down := e.PID(), e.Down()
	e.Close()
	e.Close() // changes nothing
	wantGone(t, pid)
	for name, closed := range map[string]<-chan struct{}{"Done": e.Done(), "Down": down} {
		select {
		case <-closed:
		default:
			t.Errorf("%s is not closed after Close", name)
		}
	}
	if e.PID() != 0 {
		t.Error("a process id after Close")
	}
	goleak.VerifyNone(t, running)
}

func TestEngineStopsWithItsContext(t *testing.T) {
	t.Parallel()
	lib, err := engine.Locate(os.Getenv("DRAWDOWN_ENGINE_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e, err := engine.Start(ctx, engine.Config{Lib: lib, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	pid := e.PID()
	cancel()
	<-e.Done()
	wantGone(t, pid)
}

func wantGone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal process %d: %v, want no such process", pid, err)
	}
}

// onMessage is a log handler that reports each record of one message.
type onMessage struct {
	slog.Handler
	message string
	seen    chan<- struct{}
}

func (h onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (h onMessage) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.seen <- struct{}{}
	}
	return nil
}
