package clickhouse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

const (
	snapshotName   = "clickhouse"
	snapshotFormat = 2 // what belongs on no subject is not folded any more
	// A snapshot is saved when this many entries or this much time has passed
	// since the last. Saving holds the fold up.
	snapshotEntries = 1_000_000
	snapshotEvery   = 10 * time.Minute
	stopsMax        = 1 << 20 // bytes
)

// snapshots keeps and finds states of the folder. The zero value keeps none.
type snapshots struct {
	store      snapshot.Store
	partitions int             // of the installation
	header     snapshot.Header // but for the mark
	entries    int             // after which one is due
	savedAt    time.Time
}

func (p *Projection) newSnapshots() *snapshots {
	return &snapshots{
		store: p.config.Snapshots, partitions: p.config.Partitions, entries: p.snapshotEntries, savedAt: time.Now(),
		header: snapshot.Header{Format: snapshotFormat, Installation: p.config.Installation, Partition: snapshot.Whole},
	}
}

// due reports whether a snapshot is due, n entries after the last.
func (s *snapshots) due(n int) bool {
	return s.store != nil && n > 0 && (n >= s.entries || time.Since(s.savedAt) >= snapshotEvery)
}

// save keeps f as it stands.
func (s *snapshots) save(ctx context.Context, f *folder) error {
	s.savedAt, f.entries = time.Now(), 0
	h := s.header
	h.Mark = f.mark
	return s.store.Save(ctx, snapshotName, h, f.encode)
}

// load returns the folder that stands closest before message number next, for
// those who have agreed on m. err says what snapshots were of no use, and why.
func (s *snapshots) load(ctx context.Context, next uint64, m manifest, l stream.Log) (f *folder, err error) {
	f = newFolder(m, s.partitions)
	if s.store == nil || next <= 1 {
		return f, nil
	}
	_, ok, err := s.store.Load(ctx, snapshotName, next-1, func(h snapshot.Header, r io.Reader) error {
		if err := h.Check(s.header); err != nil {
			return err
		}
		if err := h.Mark.Verify(ctx, l); err != nil {
			return err
		}
		var err error
		f, err = decodeFolder(r, h.Mark, m, s.partitions)
		return err
	})
	if !ok {
		f = newFolder(m, s.partitions)
	}
	return f, err
}

// encode writes what the folder knows.
func (f *folder) encode(w io.Writer) error {
	body, err := json.Marshal(f.stops.list())
	if err != nil {
		return fmt.Errorf("encode stopped partitions: %w", err)
	}
	if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...)); err != nil {
		return err
	}
	return f.state.Encode(w)
}

// decodeFolder reads what encode wrote of a folder that stood at mark. It
// refuses one that stopped otherwise than m says.
func decodeFolder(r io.Reader, mark stream.Mark, m manifest, partitions int) (*folder, error) {
	in := bufio.NewReader(r)
	size, err := binary.ReadUvarint(in)
	if err != nil || size > stopsMax {
		return nil, fmt.Errorf("read the size of stopped partitions: %d, %w", size, err)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, in, int64(size)); err != nil {
		return nil, fmt.Errorf("read stopped partitions: %w", err)
	}
	f := newFolder(m, partitions)
	if err := json.Unmarshal(body.Bytes(), &f.stops.all); err != nil {
		return nil, fmt.Errorf("decode stopped partitions: %w", err)
	}
	agreed := slices.DeleteFunc(slices.Clone(m.Stopped), func(s Stop) bool { return s.Sequence > mark.Sequence })
	if !slices.Equal(f.stops.all, agreed) {
		return nil, fmt.Errorf("it has other stopped partitions than bucket %s", events.BucketProjections)
	}
	if f.state, err = ledger.Decode(in); err != nil {
		return nil, err
	}
	f.mark, f.folded = mark, mark.Sequence
	return f, nil
}
