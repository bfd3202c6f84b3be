package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// victimFolder makes the test binary a program that runs an engine on this
// folder until it is killed.
const victimFolder = "ENGINE_TEST_VICTIM_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimFolder); dir != "" {
		engine.MaybeChild()
		if err := runVictim(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	enginetest.Main(m)
}

// runVictim stores one row, says so, and waits for its death.
func runVictim(dir string) error {
	lib, err := engine.Locate(os.Getenv("DRAWDOWN_ENGINE_LIB"))
	if err != nil {
		return err
	}
	e, err := engine.Start(context.Background(), engine.Config{Lib: lib, Dir: dir})
	if err != nil {
		return err
	}
	conn, err := connect(e.NativeDSN(engine.Database))
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"CREATE TABLE survivors (n UInt64) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO survivors SELECT 42",
	} {
		if err := conn.Exec(context.Background(), statement); err != nil {
			return err
		}
	}
	fmt.Println("stored")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startVictim runs the test binary as a victim and returns once it has stored
// its row.
func startVictim(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimFolder+"="+dir)
	victim.Stderr = os.Stderr
	if _, err := victim.StdinPipe(); err != nil { // open until the victim is gone
		t.Fatal(err)
	}
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if strings.TrimSpace(line) != "stored" {
		t.Fatalf("victim said %q, %v; want stored", line, err)
	}
	return victim
}

func connect(dsn string) (driver.Conn, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(options)
}

// open connects to dsn until t ends.
func open(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	conn, err := connect(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func mustExec(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// scalar is the one value that query yields, as text.
func scalar(t *testing.T, conn driver.Conn, query string) string {
	t.Helper()
	var value string
	if err := conn.QueryRow(t.Context(), "SELECT toString(("+query+"))").Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
