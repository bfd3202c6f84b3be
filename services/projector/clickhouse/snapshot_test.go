package clickhouse

import (
	"context"
	"io"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
)

// noting is a store of snapshots that notes which one was taken last.
type noting struct {
	snapshot.Store
	taken uint64
}

func (n *noting) Load(ctx context.Context, name string, atMost uint64, decode func(snapshot.Header, io.Reader) error) (snapshot.Header, bool, error) {
	h, ok, err := n.Store.Load(ctx, name, atMost, decode)
	n.taken = h.Mark.Sequence
	return h, ok, err
}

func TestAStartFromASnapshotWritesTheSame(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 40), enginetest.Database(t)
	kept := &noting{Store: snapshot.NewStore(w.broker)}
	begin := func(entries int) {
		p := w.projection(dsn, 80)
		p.config.Snapshots, p.snapshotEntries = kept, entries
		w.finish(p)
	}
	w.write(80)
	begin(30)
	w.write(40)
	w.broken("ledger.2.usage")
	w.write(40)
	begin(30)
	if kept.taken == 0 {
		t.Error("the second start took no snapshot")
	}
	w.write(40)
	begin(1 << 30)
	if kept.taken <= 120 {
		t.Errorf("the third start took the snapshot at %d; want one behind the message that stopped a partition", kept.taken)
	}
	w.check(dsn)
}

func TestASnapshotThatKnowsOtherStopsIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 41)
	w.write(3)
	f, m := newFolder(manifest{}, partitions), manifest{Newest: agreed{Span: Span{1, 3}}}
	for i := range 3 {
		found, _, err := w.broker.Log("LEDGER").Get(t.Context(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.fold(found, nil); err != nil {
			t.Fatal(err)
		}
	}
	s := &snapshots{store: &snapshot.Memory{}, partitions: partitions, header: snapshot.Header{Format: snapshotFormat, Partition: snapshot.Whole}}
	if err := s.save(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if got, err := s.load(t.Context(), 4, m, w.broker.Log("LEDGER")); err != nil || got.folded != 3 {
		t.Errorf("a start takes the snapshot at %d, %v; want 3", got.folded, err)
	}
	m.Stopped = []Stop{{Partition: "1", Sequence: 2}}
	if got, err := s.load(t.Context(), 4, m, w.broker.Log("LEDGER")); err == nil || got.folded != 0 {
		t.Errorf("a start that knows of a stop takes the snapshot at %d, %v; want none", got.folded, err)
	}
}
