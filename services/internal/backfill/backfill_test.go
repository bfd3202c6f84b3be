package backfill_test

import (
	"slices"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/backfill"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
)

const partitions = 4

func TestCheckFindsWhatTheLedgerCharges(t *testing.T) {
	server := natstest.Run(t)
	js := server.JetStream()
	_, broker := server.Installation(partitions)
	usage := func(account, source, id string) events.Usage {
		return events.Usage{Account: account, Source: source, ID: id, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: events.UsageData{Operation: "GET /"}}
	}
	charged := []events.Usage{usage("acme", "/a", "1"), usage("acme", "/b", "2"), usage("bolt", "/a", "3")}
	for i, u := range charged {
		position := events.Position{Sequence: uint64(i + 1), StoredAt: u.Time}
		body, err := events.EncodeChunk(events.Chunk{
			Span: &events.Span{Through: position, Events: 1},
			Entries: []events.Entry{{Kind: events.EntryDebit, Account: u.Account, Debit: &events.Debit{
				Source: u.Source, ID: u.ID, Time: u.Time, Data: u.Data, Position: position, Card: "default", Version: 1, Rule: "all", Arithmetic: "0",
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), events.LedgerSubject(events.Partition(u.Account, partitions), events.WriterUsage), body); err != nil {
			t.Fatal(err)
		}
	}
	asked := []events.Usage{
		usage("acme", "/a", "1"), usage("acme", "/a", "2"), usage("acme", "/b", "2"),
		usage("acme", "/a", "1"), usage("bolt", "/a", "3"), usage("cole", "/a", "4"),
	}
	checked, err := backfill.Check(t.Context(), broker, partitions, asked, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{true, false, true, true, true, false}; !slices.Equal(checked.Known, want) {
		t.Errorf("known %v; want %v", checked.Known, want)
	}
	if checked.At.IsZero() || checked.At.After(time.Now().Add(time.Minute)) {
		t.Errorf("checked at %v; want the server's clock", checked.At)
	}
}

func TestCheckDoesNotGuessWhatALedgerItCannotReadHolds(t *testing.T) {
	server := natstest.Run(t)
	js := server.JetStream()
	_, broker := server.Installation(partitions)
	u := events.Usage{Account: "acme", Source: "/a", ID: "1"}
	if _, err := js.Publish(t.Context(), events.LedgerSubject(events.Partition(u.Account, partitions), events.WriterUsage), []byte("?")); err != nil {
		t.Fatal(err)
	}
	if checked, err := backfill.Check(t.Context(), broker, partitions, []events.Usage{u}, nil); err == nil {
		t.Errorf("checked %v; want an error", checked)
	}
}
