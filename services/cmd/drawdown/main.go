// Command drawdown is all of Drawdown in one binary: the services, the
// installation on embedded parts, and the command line. This package only
// wires; what a command does lives in the packages it calls.
package main

import (
	"context"
	"errors"
	"fmt"
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
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string) int {
	a := &app{out: os.Stdout, errs: os.Stderr}
	root, err := a.root()
	if err != nil {
		fmt.Fprintln(a.errs, "drawdown:", err)
		return exitUsage
	}
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case !a.started:
		fmt.Fprintf(a.errs, "drawdown: %v\nSee drawdown --help.\n", err)
		return exitUsage
	case errors.Is(err, errUsage):
		fmt.Fprintln(a.errs, "drawdown:", err)
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	}
	fmt.Fprintln(a.errs, "drawdown:", err)
	return exitFailed
}
