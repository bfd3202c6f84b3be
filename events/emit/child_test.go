package emit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events/emit"
)

// The child is this test's own binary, run again as a process that emits, so
// that a test can kill it.
const (
	childSpool = "DRAWDOWN_EMIT_CHILD_SPOOL"
	childURL   = "DRAWDOWN_EMIT_CHILD_URL"
	childEmits = "DRAWDOWN_EMIT_CHILD_EMITS"
)

// runChild emits from several goroutines for ever, when it is told to, and
// prints the number of each event that is kept.
func runChild() {
	nc, err := nats.Connect(os.Getenv(childURL), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		panic(err)
	}
	e, err := emit.New(nc, emit.Options{
		Partitions: partitions, Spool: emit.Spool{Dir: os.Getenv(childSpool)}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	var printing sync.Mutex
	const goroutines = 8
	if os.Getenv(childEmits) != "" {
		for g := range goroutines {
			go func() {
				for n := g; ; n += goroutines {
					if err := e.EmitWait(context.Background(), usage(n)); err != nil {
						panic(err)
					}
					printing.Lock()
					fmt.Println(n)
					printing.Unlock()
				}
			}()
		}
	}
	select {}
}

// startChild starts a child whose output is read line by line.
func startChild(t *testing.T, dir, url string, emits bool) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childSpool+"="+dir, childURL+"="+url)
	if emits {
		child.Env = append(child.Env, childEmits+"=1")
	}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	return child, bufio.NewReader(out)
}

// kill ends the child with SIGKILL and returns what else it had printed.
func kill(t *testing.T, child *exec.Cmd, out *bufio.Reader) (lines []string) {
	t.Helper()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := out.ReadString('\n')
		if err == io.EOF {
			break // a line that was cut off does not count
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	_ = child.Wait()
	return lines
}

func TestWhatAKilledProcessHadKeptIsDelivered(t *testing.T) {
	o := newOutage(t)
	dir := t.TempDir()
	kept := make(map[string]bool)
	for range 3 { // killed in the midst of the outage, again and again
		child, out := startChild(t, dir, o.url(), true)
		for range 500 {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			kept[strings.TrimSpace(line)] = true
		}
		for _, line := range kill(t, child, out) {
			kept[line] = true
		}
	}

	o.endWithUsage(nil)
	nc := connectTo(t, o.url())
	arrivals := make(chan *nats.Msg, 1<<16)
	if _, err := nc.ChanSubscribe("usage.batch.*", arrivals); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	child, out := startChild(t, dir, o.url(), false)
	<-arrivals // killed in the midst of the delivery
	kill(t, child, out)

	opts := spooled(t)
	opts.Spool.Dir = dir
	e := newEmitter(t, nc, opts)
	deliver(t, e)
	counts := stored(t, nc)
	for id := range kept {
		if counts[id] == 0 {
			t.Errorf("event %s was kept but is not stored", id)
		}
	}
	for id := range counts {
		if n, err := strconv.Atoi(id); err != nil || n < 0 {
			t.Errorf("event %q was never emitted", id)
		}
	}
}
