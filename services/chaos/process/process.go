// Package process runs the programs of a chaos run: it starts them, kills and
// pauses them when told, and starts those again that end without being told,
// as a service manager would. None outlives the run, however that ends.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Name string
	Path string
	Args []string
	Env  []string // beside this process's own
	Log  string   // file that takes its output
}

// restartDelay is the pause before a program that ended by itself is started
// again.
const restartDelay = 300 * time.Millisecond

// Process is one program that is kept running, or down, as told.
type Process struct {
	spec Spec

	mu     sync.Mutex
	cmd    *exec.Cmd
	gone   chan struct{} // closed when cmd has ended
	wanted bool
	ends   int // by itself
	ending string
	timer  *time.Timer
}

// New prepares a program; Start starts it.
func New(spec Spec) *Process { return &Process{spec: spec} }

// Name is the program's.
func (p *Process) Name() string { return p.spec.Name }

// Start starts the program, unless it runs.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.start()
}

func (p *Process) start() error {
	if p.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(p.spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.spec.Name, err)
	}
	defer log.Close()
	fmt.Fprintf(log, "---- %s starts %s\n", time.Now().UTC().Format(time.RFC3339Nano), p.spec.Name)
	cmd := exec.Command(p.spec.Path, p.spec.Args...)
	cmd.Env = append(os.Environ(), p.spec.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	if err := onStarter(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", p.spec.Name, err)
	}
	gone := make(chan struct{})
	p.cmd, p.gone = cmd, gone
	go p.wait(cmd, gone)
	return nil
}

// wait notes the end of the program and plans its next start.
func (p *Process) wait(cmd *exec.Cmd, gone chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	close(gone)
	if !p.wanted {
		return
	}
	p.ends++
	p.ending = fmt.Sprint(err)
	p.timer = time.AfterFunc(restartDelay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.wanted {
			_ = p.start() // it ran before; if not again, the run does not settle and says so
		}
	})
}

// Kill ends the program with SIGKILL and keeps it down until Start.
func (p *Process) Kill() { <-p.end(syscall.SIGKILL) }

// Stop asks the program to end, kills it if it has not within limit, and keeps
// it down until Start. It reports whether the program ended by itself.
func (p *Process) Stop(limit time.Duration) bool {
	gone := p.end(syscall.SIGTERM)
	select {
	case <-gone:
		return true
	case <-time.After(limit):
		<-p.end(syscall.SIGKILL)
		return false
	}
}

// end signals the program and returns a channel that is closed once it is gone.
func (p *Process) end(s syscall.Signal) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.cmd == nil {
		gone := make(chan struct{})
		close(gone)
		return gone
	}
	_ = p.cmd.Process.Signal(s) // it may have ended just now
	return p.gone
}

// Signal sends s, such as SIGSTOP and SIGCONT, to the program if it runs.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended just now
	}
}

// PID is the program's process id, 0 while it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Ends returns how often the program ended without being told, and how the
// last time.
func (p *Process) Ends() (int, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends, p.ending
}

// Tail returns the last lines of the program's output.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.spec.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// starter is the one thread that starts programs. Where the system can end a
// child with its parent, the parent is the thread, so this one never ends.
var starter = sync.OnceValue(func() chan<- func() {
	tasks := make(chan func())
	go func() {
		runtime.LockOSThread()
		for task := range tasks {
			task()
		}
	}()
	return tasks
})

func onStarter(f func() error) error {
	result := make(chan error, 1)
	starter() <- func() { result <- f() }
	return <-result
}
