package lease_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// childVariable tells the test's binary to be an instance on the server it
// names, so that it can be paused as a process.
const childVariable = "LEASE_TEST_CHILD_OF"

// child is instance "child". It writes a line when work begins and ends.
func child(url string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer nc.Close()
	broker, err := stream.NewBroker(nc)
	if err == nil {
		var shared *lease.Shared
		if shared, err = lease.New(lease.Config{Broker: broker, Service: "rater", Partitions: partitions, Instance: "child"}); err == nil {
			err = shared.Run(ctx, func(ctx context.Context, held *lease.Held) {
				fmt.Println("begin", held.Partition)
				<-ctx.Done()
				fmt.Println("end", held.Partition)
			})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fork starts a child and notes what it says.
func (r *rig) fork() *os.Process {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+r.server.URL())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var what string
			var partition int
			if n, _ := fmt.Sscan(lines.Text(), &what, &partition); n == 2 {
				r.trace.note("child", partition, map[string]int{"begin": 1, "end": -1}[what])
			}
		}
	}()
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(os.Interrupt)
		<-done
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("child: %v", err)
		}
	})
	return cmd.Process
}

func TestAPausedInstanceEndsItsWorkWhenItWakes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.trace.overlap = true
	process := r.fork()
	r.await(map[string]int{"child": 16})
	r.start("a", lease.TTL)
	r.await(map[string]int{"child": 8, "a": 8})
	started := r.trace.started()
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The other works on everything; the paused one has not said that it ended.
	r.await(map[string]int{"several": 8, "a": 8})
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.await(map[string]int{"child": 8, "a": 8})
	if n := r.trace.started() - started; n < 16 {
		t.Errorf("work began %d times; want 8 times at the other, and 8 times again at the one that woke", n)
	}
}
