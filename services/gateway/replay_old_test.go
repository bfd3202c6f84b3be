package gateway_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestAnOldDeadLetterIsReplayedAsABackfillUnlessItIsCharged(t *testing.T) {
	t.Parallel()
	const horizon = time.Hour
	w := startWith(t, stream.Config{Partitions: partitions}, func(c *gateway.Config) { c.Horizon = horizon })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	charged := events.Entry{Kind: events.EntryDebit, Account: "acme", Debit: &events.Debit{
		Source: "/s", ID: "charged", Time: at, Data: events.UsageData{Operation: "GET /"},
		Position: events.Position{Sequence: 1, StoredAt: at}, Card: "default", Version: 1, Rule: "all", Arithmetic: "0",
	}}
	body, err := events.EncodeChunk(events.Chunk{Span: &events.Span{Through: charged.Debit.Position, Events: 1}, Entries: []events.Entry{charged}})
	w.ok(err)
	_, err = w.js.Publish(t.Context(), events.LedgerSubject(events.Partition("acme", partitions), events.WriterUsage), body)
	w.ok(err)
	letter := func(sequence uint64, id string, at time.Time) events.DeadLetter {
		text := event("id", `"`+id+`"`, "source", `"/s"`, "time", `"`+at.UTC().Format(time.RFC3339)+`"`)
		return single(sequence, "unratable", text, map[string][]string{"Content-Type": {structured}})
	}
	w.bury(letter(1, "old", at), letter(2, "charged", at), letter(3, "new", time.Now()), letter(4, "older", at.AddDate(-1, 0, 0)))

	got := decode[gateway.Replayed](w.call("POST", "/v1/deadletters/replay", `{"all":true}`).want(200))
	if got.Replayed != 4 {
		t.Errorf("%+v; want 4 replayed", got)
	}
	backfills := map[string]bool{}
	for _, item := range w.stored() {
		if item.Err != nil {
			t.Fatal(item.Err)
		}
		backfills[item.Usage.ID] = !item.Usage.Backfill.IsZero()
		if p := events.CheckAge(item.Usage, time.Now(), horizon, time.Minute); p != nil {
			t.Errorf("%s would be refused: %v", item.Usage.ID, p)
		}
	}
	if diff := cmp.Diff(map[string]bool{"old": true, "older": true, "new": false}, backfills); diff != "" {
		t.Errorf("stored, and whether as backfills (-want +got):\n%s", diff)
	}
	if page := decode[gateway.DeadLetterPage](w.call("GET", "/v1/deadletters", "").want(200)); len(page.DeadLetters) != 0 {
		t.Errorf("%d dead letters are left", len(page.DeadLetters))
	}
}
