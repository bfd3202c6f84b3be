package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	probeEvery = 20 * time.Millisecond
	// A child may load for a while after a power loss; one that needs longer
	// than this hangs.
	bootMax = 2 * time.Minute
	// The clean stop takes one to two seconds on an idle engine.
	stopMax = 10 * time.Second
	termMax = 5 * time.Second
	// What the engine's output contains when a statement of its own failed.
	engineError = "DB::Exception"
)

// process is one child and the pipe that keeps it alive.
type process struct {
	cmd    *exec.Cmd
	hold   *os.File      // the child ends when this writing end closes
	exited chan struct{} // closed once the child is reaped
	err    error         // why it ended; read after exited
}

// boot launches a child and waits until both protocols answer. On failure no
// child is left.
func (e *Engine) boot(ctx context.Context) (*process, error) {
	e.door.open()
	defer e.door.shut()
	p, err := e.launch()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootMax, fmt.Errorf("no answer within %s", bootMax))
	defer cancel()
	for {
		refusal := e.probe(ctx)
		if refusal == nil {
			return p, nil
		}
		if strings.Contains(tail(e.path(fileOutput)), engineError) {
			p.stop() // it cannot open its ports and would wait for its input to end
			return nil, e.obituary(p)
		}
		tick := time.NewTimer(probeEvery)
		select {
		case <-tick.C:
		case <-p.exited:
			tick.Stop()
			p.stop()
			return nil, e.obituary(p)
		case <-ctx.Done():
			tick.Stop()
			p.stop()
			return nil, errors.Join(context.Cause(ctx), refusal)
		}
	}
}

// launch starts this same binary in child mode. The child gets its own process
// group, so that Ctrl-C in a terminal reaches the services first and the engine
// only when they are done with it.
func (e *Engine) launch() (*process, error) {
	output, err := os.OpenFile(e.path(fileOutput), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open engine output: %w", err)
	}
	defer output.Close()
	held, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open engine pipe: %w", err)
	}
	defer held.Close()
	self, err := selfPath()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find own binary: %w", err), hold.Close())
	}
	cmd := &exec.Cmd{
		Path: self,
		// The first word is what a process list shows.
		Args:        append([]string{"drawdown-clickhouse", e.cfg.Lib}, e.arguments()...),
		Env:         []string{childVariable + "=1", "TZ=UTC", "TERM=dumb", "CLICKHOUSE_HISTORY_FILE=" + e.path(fileHistory)},
		Dir:         e.cfg.Dir,
		Stdout:      output,
		Stderr:      output,
		ExtraFiles:  []*os.File{held, e.lock},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start engine process: %w", err), hold.Close())
	}
	p := &process{cmd: cmd, hold: hold, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the child, gently first, and returns when it is gone.
func (p *process) stop() {
	_ = p.hold.Close() // cannot fail in a way that matters: the signals follow
	if p.exitsWithin(stopMax) {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has just exited
	if p.exitsWithin(termMax) {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) exitsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// obituary says how an exited child ended, with the end of its output or, when
// it printed nothing, of its error log.
func (e *Engine) obituary(p *process) error {
	ended := "ended"
	if p.err != nil {
		ended = p.err.Error()
	}
	if last := tail(e.path(fileOutput)); last != "" {
		return fmt.Errorf("engine process: %s: %s", ended, last)
	}
	if last := tail(e.path(fileErrorLog)); last != "" {
		return fmt.Errorf("engine process: %s; its error log ends with: %s", ended, last)
	}
	return fmt.Errorf("engine process: %s", ended)
}

// selfPath is the running binary. Linux can run it again even after the file
// was replaced by a newer build.
func selfPath() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}
