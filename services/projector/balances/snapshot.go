package balances

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// snapshotFormat is of what encode writes.
const snapshotFormat = 1

const (
	// saveTimeout bounds one save in the background, leaveTimeout what is done
	// for a partition that is given up: somebody waits for it.
	saveTimeout  = time.Minute
	leaveTimeout = 2 * time.Second

	keyMax = 256 // bytes of a key of the catalog in a snapshot
)

// snapshotName is the name of a partition's snapshots.
func snapshotName(partition int) string { return "balances-" + strconv.Itoa(partition) }

// header is what a snapshot of f says of itself.
func (f *fold) header(installation string) snapshot.Header {
	return snapshot.Header{Format: snapshotFormat, Installation: installation, Partition: f.number, Partitions: f.partitions, Mark: f.mark}
}

// encode writes what a fold needs to go on: the last tick, the places of the
// catalog's keys, and the state.
func (f *fold) encode(w io.Writer) error {
	b := binary.AppendUvarint(nil, f.ticked)
	b = binary.AppendUvarint(b, uint64(len(f.places)))
	for _, key := range slices.Sorted(maps.Keys(f.places)) {
		p := f.places[key]
		b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
		b = binary.AppendUvarint(b, p.sequence)
		b = binary.AppendUvarint(b, uint64(p.index))
		b = binary.AppendVarint(b, p.at)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write a fold: %w", err)
	}
	return f.state.Encode(w)
}

// decode reads what encode wrote into f, which has folded nothing.
func (f *fold) decode(from io.Reader, h snapshot.Header) error {
	r := bufio.NewReaderSize(from, 64<<10)
	var errs []error
	number := func() uint64 {
		n, err := binary.ReadUvarint(r)
		errs = append(errs, err)
		return n
	}
	ticked, places := number(), map[string]place{}
	for n := number(); n > 0 && errors.Join(errs...) == nil; n-- {
		errs = errs[:0]
		size := number()
		if size > keyMax {
			return fmt.Errorf("read a fold: a key of %d bytes; expected at most %d", size, keyMax)
		}
		key := make([]byte, size)
		_, err := io.ReadFull(r, key)
		p := place{sequence: number(), index: int(number())}
		at, atErr := binary.ReadVarint(r)
		p.at = at
		errs = append(errs, err, atErr)
		places[string(key)] = p
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read a fold: %w", err)
	}
	state, err := ledger.Decode(r)
	if err != nil {
		return err
	}
	f.state, f.mark, f.ticked, f.places = state, h.Mark, ticked, places
	return nil
}

// restore starts the fold from the newest snapshot that fits: it is of this
// installation and partition, and the ledger still holds what it stands at.
// Without one the ledger is folded from its start.
func (p *partition) restore(ctx context.Context) error {
	if p.config.Snapshots == nil {
		return nil
	}
	var found *fold
	h, ok, err := p.config.Snapshots.Load(ctx, snapshotName(p.number), 0, func(h snapshot.Header, r io.Reader) error {
		if err := h.Check(p.header(p.config.Installation)); err != nil {
			return err
		}
		if err := h.Mark.Verify(ctx, p.ledger); err != nil {
			return err
		}
		found = newFold(p.number, p.partitions)
		return found.decode(r, h)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		p.config.Logger.Warn("snapshot is ignored", "partition", p.number, "folded_from", h.Mark.Sequence, "err", err)
	}
	if ok {
		found.answerSince = p.answerSince
		p.fold, p.saved = found, h.Mark
		p.clock = clock{last: found.ticked}
	}
	return nil
}

// saveWhenDue saves a snapshot in the background after enough changes, unless
// one is on its way. The state is encoded at once, because it changes.
func (p *partition) saveWhenDue(ctx context.Context) {
	entries, age := p.entries-p.savedEntries, p.config.Now().Sub(p.savedAt)
	if p.config.Snapshots == nil || entries == 0 || entries < uint64(p.config.SnapshotEntries) && age < p.config.SnapshotEvery {
		return
	}
	select {
	case p.saves <- struct{}{}: // one of the process
	default:
		return
	}
	var content bytes.Buffer
	if err := p.encode(&content); err != nil {
		<-p.saves
		p.config.Logger.Error("snapshot is not encoded", "partition", p.number, "err", err)
		return
	}
	h := p.header(p.config.Installation)
	p.saved, p.savedEntries, p.savedAt = h.Mark, p.entries, p.config.Now()
	p.saving.Go(func() {
		defer func() { <-p.saves }()
		bounded, cancel := context.WithTimeout(ctx, saveTimeout)
		defer cancel()
		err := p.save(bounded, h, content.Bytes())
		if p.unsaved.Store(err != nil); err != nil && ctx.Err() == nil {
			p.config.Logger.Warn("snapshot is not saved", "partition", p.number, "seq", h.Mark.Sequence, "err", err)
		}
	})
}

func (p *partition) save(ctx context.Context, h snapshot.Header, content []byte) error {
	return p.config.Snapshots.Save(ctx, snapshotName(h.Partition), h, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// leave ends the work on a live partition: what was folded is written and
// answered, so that the snapshot, from which the next holder starts, is of
// nothing that still has to be done.
func (p *partition) leave(ctx context.Context) {
	p.saving.Wait() // it ends with the context
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := p.flush(ctx); err != nil {
		return // the next holder does it
	}
	if p.config.Snapshots == nil || p.mark == p.saved && !p.unsaved.Load() {
		return
	}
	if err := p.saveLast(ctx); err != nil {
		p.config.Logger.Warn("snapshot is not saved", "partition", p.number, "seq", p.mark.Sequence, "err", err)
	}
}

// saveLast saves the fold as it stands, when it is its turn: a process that ends
// leaves all its partitions at once, and an encoded one takes as much memory as
// its state.
func (p *partition) saveLast(ctx context.Context) error {
	select {
	case p.saves <- struct{}{}:
		defer func() { <-p.saves }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the snapshots of other partitions: %w", context.Cause(ctx))
	}
	var content bytes.Buffer
	if err := p.encode(&content); err != nil {
		return err
	}
	return p.save(ctx, p.header(p.config.Installation), content.Bytes())
}
