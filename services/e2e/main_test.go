// Package e2e drives Drawdown as its users do: the built binary, its command
// line, HTTP and ClickHouse's own protocol, in a data folder of its own. What
// it expects is computed by the test alone, from the input.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

var (
	realData = flag.String("data", "", "folder with access.log and llm_trace.csv to import instead of generated files")

	binary string
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "drawdown-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "drawdown")
	build := exec.Command("go", "build", "-o", binary, "../cmd/drawdown")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build drawdown: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// installation is a running `drawdown up`.
type installation struct {
	t     *testing.T
	data  string
	cmd   *exec.Cmd
	ended chan struct{}
	out   *bytes.Buffer

	HTTP       string `json:"http"`
	NATS       string `json:"nats"`
	ClickHouse string `json:"clickhouse"`
	SQL        string `json:"clickhouse_url"`
	EnginePID  int    `json:"engine_pid"`
}

const startTimeout = 2 * time.Minute

// nullSignal asks whether a process is there.
const nullSignal = syscall.Signal(0)

// up starts an installation on data and waits until it takes events.
func up(t *testing.T, data string, args ...string) *installation {
	t.Helper()
	_ = os.Remove(filepath.Join(data, "endpoints.json")) // of the one before
	in := &installation{t: t, data: data, ended: make(chan struct{}), out: &bytes.Buffer{}}
	args = append([]string{"up", "--data", data, "--http-addr", "127.0.0.1:0", "--nats-port", "0",
		"--clickhouse-http-port", "0", "--clickhouse-native-port", "0"}, args...)
	in.cmd = exec.Command(binary, args...)
	in.cmd.Stdout, in.cmd.Stderr = in.out, in.out
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = in.cmd.Wait()
		close(in.ended)
	}()
	t.Cleanup(func() { in.stop(os.Interrupt) })
	in.eventually(startTimeout, "is ready", func() bool {
		text, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
		if err != nil || json.Unmarshal(text, in) != nil {
			return false
		}
		answer, err := http.Get(in.HTTP + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return in
}

// stop ends the installation, kill -9 included, and waits until it has ended.
func (in *installation) stop(s os.Signal) {
	_ = in.cmd.Process.Signal(s) // it may have ended before
	select {
	case <-in.ended:
	case <-time.After(time.Minute):
		in.t.Errorf("drawdown up did not end after %s:\n%s", s, in.out)
		_ = in.cmd.Process.Kill()
		<-in.ended
	}
}

func (in *installation) kill() { in.stop(syscall.SIGKILL) }

// eventually waits on a condition, or fails if the installation ends.
func (in *installation) eventually(timeout time.Duration, what string, is func() bool) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), timeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-in.ended:
			in.t.Fatalf("drawdown up ended before it %s:\n%s", what, in.out)
		case <-ctx.Done():
			in.t.Fatalf("not within %s: %s\n%s", timeout, what, in.out)
		}
	}
}

// cli runs a command line and returns its standard output and exit status.
func (in *installation) cli(args ...string) (string, int) {
	in.t.Helper()
	cmd := exec.Command(binary, append(args, "--data", in.data)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		in.t.Fatal(err)
	}
	return out.String() + errs.String(), cmd.ProcessState.ExitCode()
}

// must is cli for commands that have to succeed.
func (in *installation) must(args ...string) string {
	in.t.Helper()
	out, status := in.cli(args...)
	if status != 0 {
		in.t.Fatalf("drawdown %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// decode runs a command line with -o json.
func decode[T any](in *installation, args ...string) T {
	in.t.Helper()
	var value T
	out := in.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		in.t.Fatalf("drawdown %s -o json: %v\n%s", strings.Join(args, " "), err, out)
	}
	return value
}

// sql asks ClickHouse as an analyst does and returns tab-separated rows.
func (in *installation) sql(query string) [][]string {
	in.t.Helper()
	answer, err := http.Post(in.SQL, "text/plain", strings.NewReader(query))
	if err != nil {
		in.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		in.t.Fatalf("%s: %v %s", query, err, text)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// sqlAsService executes a statement with the services' rights.
func (in *installation) sqlAsService(statement string) {
	in.t.Helper()
	options, err := clickhouse.ParseDSN(in.ClickHouse)
	if err != nil {
		in.t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		in.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(in.t.Context(), statement); err != nil {
		in.t.Fatalf("%s: %v", statement, err)
	}
}
