package rater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// errMoved reports that the ledger does not hold what this rater left there.
var errMoved = errors.New("the ledger is not as this rater left it")

// foldersMax bounds the folders of one partition. The second one is for a rater
// that takes over from one on the same machine that stands still with the
// first; it reads from the ledger what it lacks.
const foldersMax = 4

// recent are the events charged since the index was last moved. They are lost
// with the session, and found in the ledger by the next one.
type recent struct {
	keys     map[dedup.Key]struct{} // also those of chunks that are being filled and written
	unsaved  []dedup.Key            // of chunks that are in the ledger
	head     []byte                 // of the last of them; nil when there is none
	counters counters
}

func (r *recent) forget() { *r = recent{keys: map[dedup.Key]struct{}{}, counters: newCounters()} }

func (r *recent) add(k dedup.Key) { r.keys[k] = struct{}{} }

// settle notes that c is in the ledger, or that there is nothing of it to append.
func (r *recent) settle(c *chunk) {
	if !c.empty() {
		r.unsaved, r.head = append(r.unsaved, c.keys...), c.head
	}
	r.counters.settle(c.counts, c.corrected)
}

// saved notes that the index holds what is in the ledger.
func (r *recent) saved() {
	for _, k := range r.unsaved {
		delete(r.keys, k)
	}
	r.unsaved, r.head = r.unsaved[:0], nil
	r.counters.saved()
}

// has reports whether the event of k is charged, or is being.
func (p *partition) has(k dedup.Key) (bool, error) {
	if _, ok := p.keys[k]; ok {
		return true, nil
	}
	return p.index.Has(k)
}

// known counts the events remembered.
func (p *partition) known() int64 {
	if p.index == nil {
		return 0
	}
	return p.index.Len() + int64(len(p.keys))
}

// save moves the index behind the chunks and corrections that are in the ledger.
// What the ledger holds is looked at first, because it says when they were stored.
func (p *partition) save(ctx context.Context) error {
	state := p.index.State()
	corrected := p.counters.corrected
	if p.head == nil && corrected.Sequence == state.Corrected.Sequence {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if p.head != nil {
		m, ok, err := p.ledger.Get(ctx, p.fence)
		if err != nil {
			return err
		}
		if !ok || m.Subject != p.subject || !bytes.HasPrefix(m.Data, p.head) {
			return fmt.Errorf("%w: message %d is another", errMoved, p.fence)
		}
		state.Mark, state.Position = stream.MarkOf(m), p.position
	}
	if corrected.Sequence != state.Corrected.Sequence {
		if err := corrected.Verify(ctx, p.ledger); err != nil {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
		state.Corrected = corrected
	}
	if err := p.index.Commit(p.unsaved, p.counters.unsaved, state); err != nil {
		return err
	}
	p.saved()
	return p.index.Expire(p.position.StoredAt)
}

// openIndex opens the partition's index, unless it is open.
func (p *partition) openIndex() error {
	if p.index != nil {
		return nil
	}
	var rebuilt string
	var err error
	for n := range foldersMax {
		folder := p.folder(n)
		if p.index, rebuilt, err = p.openFolder(folder); err == nil {
			if rebuilt != "" {
				p.rebuild(rebuilt)
			}
			return nil
		}
		if !errors.Is(err, dedup.ErrInUse) {
			return err
		}
		p.log.Warn("dedup index is in use by another process; trying the next folder", "folder", folder)
	}
	return err
}

func (p *partition) openFolder(folder string) (x *dedup.Index, rebuilt string, err error) {
	if p.config.Disk == nil || folder == "" {
		return dedup.Open(folder, p.identity(), p.cache)
	}
	return dedup.OpenOn(p.config.Disk, folder, p.identity(), p.cache)
}

func (p *partition) identity() dedup.Identity {
	return dedup.Identity{
		Installation: p.config.Installation, Partition: p.number, Partitions: p.config.Partitions,
		Horizon: p.config.Horizon, MaxAhead: p.config.MaxAhead,
	}
}

// folder is the nth folder of the partition, empty when there is to be none.
func (p *partition) folder(n int) string {
	switch {
	case p.config.StateDir == "":
		return ""
	case n == 0:
		return filepath.Join(p.config.StateDir, "rater", strconv.Itoa(p.number))
	}
	return filepath.Join(p.config.StateDir, "rater", fmt.Sprintf("%d-%d", p.number, n))
}

// rebuild tells that the index begins again, and why.
func (p *partition) rebuild(why string) {
	p.log.Warn("dedup index is rebuilt from the ledger", "why", why)
}

func (p *partition) closeIndex() {
	if p.index == nil {
		return
	}
	if err := p.index.Close(); err != nil {
		p.log.Warn("dedup index is not closed cleanly", "err", err)
	}
	p.index = nil
}
