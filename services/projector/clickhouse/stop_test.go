package clickhouse

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// broken appends a message that is no chunk.
func (w *world) broken(subject string) uint64 {
	w.t.Helper()
	return w.refused(subject, []byte("{"))
}

// foreign appends a chunk that nobody of the ledger's appends there.
func (w *world) foreign(subject string, chunk events.Chunk) uint64 {
	w.t.Helper()
	body, err := events.EncodeChunk(chunk)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.refused(subject, body)
}

// refused appends a message that stops its partition.
func (w *world) refused(subject string, body []byte) uint64 {
	w.t.Helper()
	ack, err := w.js.PublishMsg(w.t.Context(), &nats.Msg{Subject: subject, Data: body})
	if err != nil {
		w.t.Fatal(err)
	}
	w.all = append(w.all, events.Chunk{})
	if w.stopped == nil {
		w.stopped = map[string]uint64{}
	}
	if partition := strings.Split(subject, ".")[1]; w.stopped[partition] == 0 {
		w.stopped[partition] = ack.Sequence
	}
	return ack.Sequence
}

func TestAMessageThatCannotBeReadStopsItsPartitionAlone(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 11), enginetest.Database(t)
	w.write(60)
	at := w.broken("ledger.1.usage")
	w.write(60)
	w.broken("ledger.1.clock") // is behind the first, and nobody reads it
	w.write(20)
	p := w.projection(dsn, 100)
	w.finish(p)
	w.check(dsn)
	stopped := p.Status().Stopped
	if len(stopped) != 1 || stopped[0].Partition != "1" || stopped[0].Sequence != at || !strings.Contains(stopped[0].Reason, "json") && stopped[0].Reason == "" {
		t.Errorf("stopped %+v; want partition 1 at %d", stopped, at)
	}
	if err := p.Halted()["projection clickhouse, partition 1"]; err == nil {
		t.Errorf("halted: %v; want partition 1", p.Halted())
	}
	conn := enginetest.Connect(t, dsn)
	if rows := readTexts(t, conn, "SELECT partition, toString(sequence) FROM stopped_partitions FINAL"); len(rows) != 1 || rows["1"] == "" {
		t.Errorf("table stopped_partitions holds %v", rows)
	}
	w.write(40) // a restart knows it again
	w.project(dsn, 60)
	w.check(dsn)
}

func TestAForeignSubjectIsAPartitionOfItsOwn(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 13), enginetest.Database(t)
	w.write(40)
	w.broken("ledger.elsewhere.usage")
	w.write(80)
	w.project(dsn, 100)
	w.check(dsn)
}

// Everybody who folds must refuse it, or ClickHouse would show what balances do
// not. Which messages those are is a test of package events.
func TestAMessageThatCanBeReadAndIsNotTheLedgersStopsItsPartitionAlone(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 16), enginetest.Database(t)
	w.write(60)
	debits := events.Chunk{Span: &events.Span{Through: events.Position{Sequence: 1}, Events: 1}, Entries: []events.Entry{w.usage("account-1")}}
	own := events.Partition("account-1", partitions)
	among := w.foreign(events.LedgerSubject(own, events.WriterCommand), debits)
	elsewhere := w.foreign(events.LedgerSubject((own+1)%partitions, events.WriterUsage), debits)
	beyond := w.foreign(events.LedgerSubject(partitions, events.WriterUsage), debits) // is of no partition, and stops none
	w.write(80)
	p := w.projection(dsn, 100)
	w.finish(p)
	w.check(dsn)
	var at []uint64
	for _, stop := range p.Status().Stopped {
		at = append(at, stop.Sequence)
		if stop.Reason == "" {
			t.Errorf("partition %s stopped without a reason", stop.Partition)
		}
	}
	if !slices.Equal(at, []uint64{among, elsewhere, beyond}) {
		t.Errorf("stopped at %v; want %d, %d and %d", at, among, elsewhere, beyond)
	}
}

func TestABroadcastThatCannotBeReadStopsEveryPartition(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 14), enginetest.Database(t)
	w.write(100)
	w.broken(events.BroadcastSubject())
	w.write(30)
	p := w.projection(dsn, 100)
	w.finish(p)
	w.check(dsn)
	if stopped := p.Status().Stopped; len(stopped) != 1 || stopped[0].Partition != events.Broadcast {
		t.Errorf("stopped %+v; want all", stopped)
	}
}

func TestWhatWasAgreedToBeUnreadableStaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 15)
	w.write(5)
	stop := Stop{Partition: strings.Split(w.subjectOf(3), ".")[1], Sequence: 3, Reason: "an older version could not read it"}
	fold := func(f *folder) error {
		for i := range 5 {
			m, _, err := w.broker.Log(events.StreamLedger).Get(t.Context(), uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.fold(m, nil); err != nil {
				return err
			}
		}
		return nil
	}
	f := newFolder(manifest{Newest: agreed{Span: Span{1, 5}}, Stopped: []Stop{stop}}, partitions)
	if err := fold(f); err != nil || !slices.Equal(f.stops.list(), []Stop{stop}) {
		t.Errorf("stops %v, %v; want the one that was agreed on", f.stops.list(), err)
	}
	w.broken("ledger.3.usage")
	m, _, err := w.broker.Log(events.StreamLedger).Get(t.Context(), 6)
	if err != nil {
		t.Fatal(err)
	}
	f = newFolder(manifest{Newest: agreed{Span: Span{1, 6}}}, partitions)
	if err := fold(f); err != nil {
		t.Fatal(err)
	}
	if err := f.fold(m, nil); err == nil || !strings.Contains(err.Error(), "run the newer version") {
		t.Errorf("a message that others could read: %v", err)
	}
}
