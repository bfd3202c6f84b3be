package ledger_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// TestTour runs the blocks of the tour, which are stories: of entries, or of one
// balance. With -rewrite it writes what they print.
func TestTour(t *testing.T) {
	const path = "../../../docs/tour.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{state: ledger.New(), now: when(t, "2026-01-01")}
	var told strings.Builder
	blocks := 0
	for part := range strings.SplitAfterSeq(string(text), "```\n") {
		before, block, ok := strings.Cut(part, "```ledger\n")
		told.WriteString(before)
		if !ok {
			continue
		}
		blocks++
		input, _, ok := strings.Cut(block, "----\n")
		if !ok {
			t.Fatalf("found no ---- in the block %q", block)
		}
		told.WriteString("```ledger\n" + input + "----\n" + s.tell(t, input) + "```\n")
	}
	if blocks == 0 {
		t.Fatal("found no block")
	}
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(told.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), told.String()); diff != "" {
		t.Errorf("docs/tour.md says otherwise (-page +fold):\n%s", diff)
	}
}

// tell returns what a block prints.
func (s *story) tell(t *testing.T, input string) string {
	if account, ok := strings.CutPrefix(input, "balance "); ok {
		return s.run(t, &datadriven.TestData{Cmd: "balance", CmdArgs: []datadriven.CmdArg{{Key: strings.TrimSpace(account)}}})
	}
	return s.run(t, &datadriven.TestData{Cmd: "fold", Input: input})
}
