package journal_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

func TestEveryRecordIsReadAsItWasWritten(t *testing.T) {
	want := []any{
		journal.Event{ID: journal.ID{Producer: 1, Number: 2}, Account: "a", Operation: "GET /x y", Status: 200, A: 5, B: -6, Micros: 1},
		journal.Bad{ID: journal.ID{Producer: 1, Number: 3}, Reason: "malformed"},
		journal.Message{Producer: 1, Hash: journal.HashOf([]byte("body")), Subject: "usage.batch.3", Items: []journal.Item{{2, 10}, {3, 11}}},
		journal.Ack{Hash: 0xfeed, Sequence: 99},
		journal.Post{Producer: 1, Status: 202, Numbers: []int{2, 3}},
		journal.Grant{Account: "a", ID: "g-1", Amount: 7, Priority: 100, Begins: 1, Ends: 2, Minutes: 3},
		journal.Command{Kind: "hold", Account: "a", ID: "h-1", Amount: -7},
		journal.Command{Kind: "plan", Account: "pro"},
		journal.Correction{ID: journal.ID{Producer: 1, Number: 2}, Account: "a", Operation: "GET /x y", A: 1, B: 2},
		journal.Correction{ID: journal.ID{Producer: 1, Number: 2}, Account: "a"},
		journal.Settings{Account: "a", Plan: "pro", Started: 5},
		journal.Answer{Kind: "hold", Account: "a", ID: "h-1", Status: 201, Sequence: 9, Outcome: "applied", Available: 1, Held: 2},
		journal.Answer{Kind: "void", Account: "a", ID: "g-1", Status: 409},
	}
	path := filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(want...)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []any
	if err := journal.Read(path, func(record any) error { got = append(got, record); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
