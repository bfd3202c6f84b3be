// Package backfill finds out which usage events the ledger holds already, for
// events so old that nobody else remembers. A rater remembers ids for the dedup
// horizon and refuses what is older, unless the emitter has looked: this is the
// look. It reads the ledger from its beginning, so it is for imports.
package backfill

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Checked is the outcome of a look.
type Checked struct {
	// At is the server's clock when the look began: whatever was charged later
	// may not be known. A rater takes the events while that is within the dedup
	// horizon.
	At time.Time
	// Known tells, for each usage in order, whether the ledger charges it.
	Known []bool
}

// Check looks for usages in the ledger. Progress is told how many of its
// messages are read; nil is fine.
func Check(ctx context.Context, broker stream.Broker, partitions int, usages []events.Usage, progress func(done, total uint64)) (Checked, error) {
	ledger := broker.Log(events.StreamLedger)
	state, err := ledger.State(ctx)
	if err != nil {
		return Checked{}, err
	}
	checked := Checked{At: state.Now, Known: make([]bool, len(usages))}
	wanted := make(map[key][]int, len(usages))
	for i, u := range usages {
		k := keyOf(u.Source, u.ID)
		wanted[k] = append(wanted[k], i)
	}
	err = stream.Each(ctx, ledger, stream.From{}, func(m stream.Message) error {
		if progress != nil {
			progress(m.Sequence, state.Last)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
		}
		for _, e := range chunk.Entries {
			if e.Debit == nil {
				continue
			}
			for _, i := range wanted[keyOf(e.Debit.Source, e.Debit.ID)] {
				checked.Known[i] = true
			}
		}
		return nil
	}, subjects(partitions, usages)...)
	return checked, err
}

// subjects are those of the partitions that hold the usages' accounts.
func subjects(partitions int, usages []events.Usage) []string {
	var all []string
	for _, u := range usages {
		all = append(all, events.LedgerSubject(events.Partition(u.Account, partitions), events.WriterUsage))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// key stands for a source and id; no source holds a zero byte.
type key [sha256.Size]byte

func keyOf(source, id string) key { return sha256.Sum256([]byte(source + "\x00" + id)) }
