package audit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
)

func TestWhatNobodyAppendsIsADifferenceAndNotFolded(t *testing.T) {
	t.Parallel()
	const partitions = 2
	server := natstest.Run(t)
	js := server.JetStream()
	_, broker := server.Installation(partitions)
	own := events.Partition("ada", partitions)
	grant := events.Entry{Kind: events.EntryGrant, Account: "ada", Grant: &events.Grant{ID: "g", Amount: events.Credit}}
	span := events.Span{Through: events.Position{Sequence: 1}}
	for _, m := range []struct {
		subject string
		chunk   events.Chunk
	}{
		{events.LedgerSubject(own, events.WriterCommand), events.Chunk{Entries: []events.Entry{grant}}},
		{events.LedgerSubject(own, events.WriterUsage), events.Chunk{Entries: []events.Entry{grant}}},
		{events.LedgerSubject(1-own, events.WriterCommand), events.Chunk{Entries: []events.Entry{grant}}},
		{events.LedgerSubject(partitions, events.WriterUsage), events.Chunk{Span: &span}},
	} {
		body, err := events.EncodeChunk(m.chunk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), m.subject, body); err != nil {
			t.Fatal(err)
		}
	}
	r := &Report{}
	_, err := readLedger(t.Context(), Config{Broker: broker, Partitions: partitions, Progress: func(string, uint64, uint64) {}}, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) != 3 || r.Ledger.Entries != 1 {
		t.Fatalf("%d entries folded, differences %+v; want 1 entry and 3 differences", r.Ledger.Entries, r.Differences)
	}
	for i, d := range r.Differences {
		if d.Where != "ledger" || !strings.Contains(d.Detail, fmt.Sprintf("message %d on", i+2)) {
			t.Errorf("difference %+v; want message %d named", d, i+2)
		}
	}
}
