package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/chaos/disk"
)

func TestMain(m *testing.M) {
	disk.Isolate()
	os.Exit(m.Run())
}

// output shows what a run prints as it comes.
type output struct{ testing.TB }

func (o output) Write(text []byte) (int, error) {
	o.Log(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}

// TestEverythingAgreesAfterFaultsOfEveryKind is a short run on one node; the
// long one is `go run ./chaos`. One seed keeps it the same each time.
func TestEverythingAgreesAfterFaultsOfEveryKind(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "run")
	status := run(t.Context(), []string{
		"-seed", "4", "-events", "30000", "-cluster", "0", "-faults", "23", "-accounts", "400", "-pace", "0.4", "-rate", "1500",
		"-disk", "1", "-dir", kept, "-settle", "8m",
	}, output{t})
	if status != 0 {
		t.Errorf("exit status %d; want 0: see the report above", status)
	}
}

func TestMistakesInFlagsAreNotARun(t *testing.T) {
	for _, flags := range [][]string{{"-nope"}, {"-only", "kil"}, {"-without", "kill, quake"}} {
		if status := run(t.Context(), flags, output{t}); status != 2 {
			t.Errorf("%q: exit status %d; want 2", flags, status)
		}
	}
}
