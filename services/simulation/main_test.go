package simulation

import (
	"flag"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

var (
	seedsFlag = flag.Int("seeds", 500, "how many seeds to run")
	firstFlag = flag.Uint64("first", 1, "the first of them")
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, and say what happened")
	tailFlag  = flag.Int("tail", 60, "how much to say of what happened before a failure, in steps")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a seed is small and leaves nothing
	goleak.VerifyTestMain(m)
}
