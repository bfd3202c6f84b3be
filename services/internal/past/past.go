// Package past folds the ledger again for one account, up to any of its
// messages: what a balance was at any point of the past, and what one entry did.
//
// It decides nothing: the fold is package ledger's, so what it answers is what
// was published then, byte for byte. It reads the account's partition alone,
// and of that folds only the account's own entries and what is broadcast to
// all, because an account depends on nothing else. It keeps nothing and writes
// nothing. A snapshot changes what an answer costs, never what it is.
package past

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// ErrAhead reports a point that the ledger has not reached.
var ErrAhead = errors.New("the ledger has not come that far")

// ErrNotThere reports that the ledger has no such entry of the account.
var ErrNotThere = errors.New("the ledger has no such entry of the account")

// Restore returns the state of a partition that a snapshot holds, and the mark
// of its last message: of those at or before LEDGER sequence atMost the latest,
// and nil when there is none that fits this ledger.
type Restore func(ctx context.Context, partition int, atMost uint64) (*ledger.State, stream.Mark)

// Progress is told how many LEDGER messages of total are passed.
type Progress func(done, total uint64)

// Ledger is a ledger to be folded again. Broker and Partitions are required.
type Ledger struct {
	Broker     stream.Broker
	Partitions int     // of the installation
	Restore    Restore // nil: there are no snapshots
	// Turn waits until much of the ledger may be read, which takes most of a
	// core, and returns what ends that; nil waits for nobody.
	Turn func(ctx context.Context) (end func(), err error)
}

// Step is what one entry did to an account.
type Step struct {
	// Before is the account when the entry came, after time had passed for it.
	Before events.Balance
	// Posting is the entry's own.
	Posting ledger.Posting
}

// Through returns the sequence of the last LEDGER message that was stored at or
// before t, in microseconds; 0 when none was. It answers ErrAhead when t lies
// ahead of the ledger's clock: more may yet be stored by then.
func (l Ledger) Through(ctx context.Context, t time.Time) (uint64, error) {
	log := l.Broker.Log(events.StreamLedger)
	state, err := log.State(ctx)
	switch {
	case err != nil:
		return 0, err
	case t.After(state.Now):
		return 0, fmt.Errorf("found %s; expected a time up to %s: %w",
			t.UTC().Format(time.RFC3339Nano), state.Now.Format(time.RFC3339Nano), ErrAhead)
	case state.Messages == 0 || state.LastAt.UnixMicro() <= t.UnixMicro():
		return state.Last, nil
	}
	reader, err := log.Read(ctx, stream.From{Since: t.Truncate(time.Microsecond).Add(time.Microsecond)})
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	later, err := reader.Next(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the ledger's end at %s: %w", t.UTC().Format(time.RFC3339Nano), err)
	}
	return later.Sequence - 1, nil
}

// Balance returns the balance of account behind LEDGER message through, and
// whether the ledger had named it by then. It answers ErrAhead when the ledger
// does not hold that message.
func (l Ledger) Balance(ctx context.Context, account string, through uint64, progress Progress) (events.Balance, bool, error) {
	f, err := l.fold(ctx, account, through, progress, nil)
	if err != nil {
		return events.Balance{}, false, err
	}
	b, named := f.Balance(account)
	return b, named, nil
}

// Place is where an entry stands in the ledger.
type Place struct {
	Sequence uint64 // of its message
	Index    int    // in the message
}

// Step returns what the entry at a place of the ledger did to account. It
// answers ErrNotThere when there is none of the account there.
func (l Ledger) Step(ctx context.Context, account string, at Place, progress Progress) (Step, error) {
	steps, err := l.Steps(ctx, account, []Place{at}, progress)
	if err != nil {
		return Step{}, err
	}
	return steps[0], nil
}

// Steps returns what the entries at some places of the ledger, given in its
// order, did to account, for one reading of the ledger. It answers ErrNotThere
// when there is none of the account at one of them.
func (l Ledger) Steps(ctx context.Context, account string, at []Place, progress Progress) ([]Step, error) {
	if len(at) == 0 {
		return nil, nil
	}
	var steps []Step
	take := func(state *ledger.State, p ledger.Point, e events.Entry) {
		if len(steps) == len(at) || at[len(steps)] != (Place{p.Sequence, p.Index}) {
			state.Apply(p, e, nil)
			return
		}
		before, _ := state.Balance(account)
		_, postings := state.Apply(p, e, nil)
		if own := len(postings) - 1; own >= 0 {
			step := Step{Before: before, Posting: postings[own]}
			if own > 0 { // time passed
				step.Before.Available, step.Before.Held = postings[own-1].Available, postings[own-1].Held
				step.Before.Overage, step.Before.Remaining = postings[own-1].Overage, postings[own-1].Remaining
			}
			steps = append(steps, step)
		}
	}
	// A snapshot must lie before the first entry, which it would otherwise have folded.
	if _, err := l.foldFrom(ctx, account, at[0].Sequence-1, at[len(at)-1].Sequence, progress, take); err != nil {
		return nil, err
	}
	if len(steps) < len(at) {
		missing := at[len(steps)]
		return nil, fmt.Errorf("entry %d of ledger message %d, account %s: %w", missing.Index, missing.Sequence, account, ErrNotThere)
	}
	return steps, nil
}

// apply folds one entry.
type apply func(state *ledger.State, p ledger.Point, e events.Entry)

func (l Ledger) fold(ctx context.Context, account string, through uint64, progress Progress, do apply) (*ledger.State, error) {
	return l.foldFrom(ctx, account, through, through, progress, do)
}

// errThrough ends a reading at the last message that counts.
var errThrough = errors.New("through")

// foldFrom folds an account from the latest snapshot at or before atMost through
// a LEDGER message. A nil do just applies.
func (l Ledger) foldFrom(ctx context.Context, account string, atMost, through uint64, progress Progress, do apply) (*ledger.State, error) {
	end, err := l.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	log := l.Broker.Log(events.StreamLedger)
	held, err := log.State(ctx)
	switch {
	case err != nil:
		return nil, err
	case through > held.Last:
		return nil, fmt.Errorf("found sequence %d; expected at most %d: %w", through, held.Last, ErrAhead)
	}
	partition := events.Partition(account, l.Partitions)
	state, mark := l.restore(ctx, partition, atMost)
	if held.First > mark.Sequence+1 {
		return nil, fmt.Errorf("fold the ledger through %d: it begins at %d", through, held.First)
	}
	if do == nil {
		var postings []ledger.Posting
		do = func(s *ledger.State, p ledger.Point, e events.Entry) { _, postings = s.Apply(p, e, postings[:0]) }
	}
	err = stream.Each(ctx, log, stream.From{Sequence: mark.Sequence + 1}, func(m stream.Message) error {
		if m.Sequence > through {
			return errThrough
		}
		if progress != nil {
			progress(m.Sequence, through)
		}
		if ctx.Err() != nil { // nobody waits any more, though messages are there
			return context.Cause(ctx)
		}
		return l.message(state, account, m, do)
	}, events.PartitionLedgerSubjects(partition)...)
	if err != nil && !errors.Is(err, errThrough) {
		return nil, err
	}
	return state, nil
}

func (l Ledger) turn(ctx context.Context) (end func(), err error) {
	if l.Turn == nil {
		return func() {}, nil
	}
	return l.Turn(ctx)
}

// restore returns the state to begin with.
func (l Ledger) restore(ctx context.Context, partition int, atMost uint64) (*ledger.State, stream.Mark) {
	if l.Restore != nil && atMost > 0 {
		if state, mark := l.Restore(ctx, partition, atMost); state != nil {
			return state, mark
		}
	}
	return ledger.New(), stream.Mark{}
}

// message folds what one message says of the account and of all. A message that
// no writer of the ledger appends ends the fold here as it does the projector's:
// nothing was published behind it.
func (l Ledger) message(state *ledger.State, account string, m stream.Message, do apply) error {
	chunk, err := events.DecodeChunk(m.Data)
	if err == nil {
		err = events.CheckOrigin(m.Subject, chunk, l.Partitions)
	}
	if err != nil {
		return fmt.Errorf("fold ledger message %d on %s: %w", m.Sequence, m.Subject, err)
	}
	for i, e := range chunk.Entries {
		if e.Account == account || e.Account == "" {
			do(state, ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, e)
		}
	}
	return nil
}

// Find returns the message that charges the usage event of a source and id, and
// the debit's index in it: of those behind LEDGER message after the first. An
// account narrows the search to its partition; ok is false when there is none.
func (l Ledger) Find(ctx context.Context, account string, after uint64, source, id string, progress Progress) (m stream.Message, index int, ok bool, err error) {
	subject := "ledger.*." + string(events.WriterUsage)
	if account != "" {
		subject = events.LedgerSubject(events.Partition(account, l.Partitions), events.WriterUsage)
	}
	log := l.Broker.Log(events.StreamLedger)
	held, err := log.State(ctx)
	if err != nil || held.Last <= after {
		return m, 0, false, err
	}
	end, err := l.turn(ctx)
	if err != nil {
		return m, 0, false, err
	}
	defer end()
	err = stream.Each(ctx, log, stream.From{Sequence: after + 1}, func(found stream.Message) error {
		if progress != nil {
			progress(found.Sequence, held.Last)
		}
		chunk, err := events.DecodeChunk(found.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", found.Sequence, err)
		}
		at := slices.IndexFunc(chunk.Entries, func(e events.Entry) bool { return Charges(e, source, id) })
		if at < 0 {
			return nil
		}
		m, index, ok = found, at, true
		return errThrough
	}, subject)
	if errors.Is(err, errThrough) {
		err = nil
	}
	return m, index, ok, err
}

// Charges reports whether e is the debit of the usage event of a source and id.
func Charges(e events.Entry, source, id string) bool {
	return e.Debit != nil && e.Debit.Source == source && e.Debit.ID == id
}
