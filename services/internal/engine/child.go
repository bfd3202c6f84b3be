package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

const (
	childVariable = "DRAWDOWN_ENGINE_CHILD"
	// Files the child inherits: the pipe whose end ends it, and the folder lock.
	fdHold = 3
	// After the parent's death nobody is left to kill an engine that does not
	// stop by itself, so the child does that.
	orphanMax = 15 * time.Second
)

// hooked says that this binary can become an engine; without it, starting a
// child would start this whole program again, and again from there.
var hooked atomic.Bool

// MaybeChild turns this process into a ClickHouse engine, and never returns, if
// Start began it as one. Otherwise it returns at once. Call it first thing in
// main and TestMain.
func MaybeChild() {
	hooked.Store(true)
	if os.Getenv(childVariable) == "" {
		return
	}
	nameProcess()
	keyboard, err := openTerminal()
	if err == nil {
		go endWithParent(keyboard)
		err = serve(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve loads the library named by the first argument and hands the others to
// ClickHouse's own command line. The working directory is the data folder. It
// returns when the engine has stopped.
func serve(args []string) error {
	if len(args) == 0 {
		return errors.New("engine child needs the library's path")
	}
	lib, err := purego.Dlopen(args[0], purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load engine library: %w", err)
	}
	var commandLine func(argc int32, argv unsafe.Pointer) uintptr
	var resultError func(result uintptr) string
	for name, function := range map[string]any{
		"chdb_query_cmdline": &commandLine,
		"chdb_result_error":  &resultError,
	} {
		symbol, err := purego.Dlsym(lib, name)
		if err != nil {
			return fmt.Errorf("load engine library: %w", err)
		}
		purego.RegisterFunc(function, symbol)
	}
	if fenced() {
		if err := fence(".", args[0]); err != nil {
			return err
		}
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	argv, argc := cStrings(&pins, append([]string{"clickhouse-local"}, args[1:]...))
	if result := commandLine(argc, argv); result != 0 {
		if reason := resultError(result); reason != "" {
			return errors.New(reason)
		}
	}
	return nil
}

// cStrings lays words out as C's argv, pinned because C keeps the pointers.
func cStrings(pins *runtime.Pinner, words []string) (argv unsafe.Pointer, argc int32) {
	pointers := make([]*byte, len(words)+1) // the last stays nil, as C expects
	for i, word := range words {
		pointers[i] = &append([]byte(word), 0)[0]
		pins.Pin(pointers[i])
	}
	pins.Pin(&pointers[0])
	return unsafe.Pointer(&pointers[0]), int32(len(words))
}

// endWithParent ends the engine's input when the parent closes its pipe or is
// gone, upon which the engine stops, and makes sure that it does not stay even
// if its clean stop hangs.
func endWithParent(keyboard io.Closer) {
	hold := os.NewFile(fdHold, "hold")
	_, _ = hold.Read(make([]byte, 1)) // nothing is ever written: this is the end
	_ = keyboard.Close()              // if this fails, the exit below does not
	time.Sleep(orphanMax)
	os.Exit(1)
}
