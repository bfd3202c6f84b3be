// Command drawdown is all of Drawdown in one binary: the services, the
// installation on embedded parts, and the command line. This package only
// wires; what a command does lives in the packages it calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	engine.MaybeChild() // does not return in the process that hosts ClickHouse
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	a := &app{out: out, errs: errs}
	root, err := a.root()
	if err != nil {
		fmt.Fprintln(errs, "drawdown:", err)
		return exitUsage
	}
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case !a.started || isMistake(err):
		fmt.Fprintf(errs, "drawdown: %v\nSee %s --help.\n", err, command.CommandPath())
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	}
	a.showProblem(err)
	fmt.Fprintln(errs, "drawdown:", err)
	return exitFailed
}
