// Package charges reads from the ledger what usage events are charged now: what
// their debits say, or the corrections that have taken the place of these.
//
// It folds nothing, so a correction that the fold refused is told from one that
// stands only by whoever reads: see Config.Refused. It keeps no state and writes
// nothing.
package charges

import (
	"context"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config says which part of the ledger is read. Ledger is required.
type Config struct {
	Ledger stream.Log
	// Partition is the one that is read; nil means all of them.
	Partition *int
	// Account is the one whose events are visited; empty means all. It is of the
	// partition.
	Account string
	// Since is from when on what was stored is read.
	Since time.Time
	// Refused says of a correction that the fold refused it. nil takes every one
	// that corrects what stood then for one that stands: the gateway's are refused
	// for an overflow alone.
	Refused func(past.Place) bool
}

func (c *Config) debits() string {
	if c.Partition == nil {
		return "ledger.*." + string(events.WriterUsage)
	}
	return events.LedgerSubject(*c.Partition, events.WriterUsage)
}

func (c *Config) corrections() string {
	if c.Partition == nil {
		return "ledger.*." + string(events.WriterCorrection) + ".*"
	}
	return events.CorrectionSubjects(*c.Partition)
}

// Charge is what one usage event is charged.
type Charge struct {
	Account string
	First   events.LedgerPlace // of its debit
	Debit   *events.Debit      // which is never nil
	// Stands is the entry that says what the event is charged now, Now that
	// charge; nil says that the event is void.
	Stands events.LedgerPlace
	Now    *events.Debit
}

// Corrections know which usage events were corrected, in little memory: what a
// correction says is read again when it is asked for.
type Corrections struct {
	config Config
	stands map[past.Place]past.Place // by the event's debit
	first  uint64
}

// ReadCorrections reads which events were corrected up to now. Progress is told
// which ledger message was read; nil is fine.
func ReadCorrections(ctx context.Context, c Config, progress func(sequence uint64)) (*Corrections, error) {
	all := &Corrections{config: c, stands: map[past.Place]past.Place{}}
	err := stream.Each(ctx, c.Ledger, stream.From{Since: c.Since}, func(m stream.Message) error {
		if progress != nil {
			progress(m.Sequence)
		}
		return all.take(ctx, m)
	}, c.corrections())
	if err != nil {
		return nil, fmt.Errorf("read corrections: %w", err)
	}
	return all, nil
}

func (c *Corrections) take(ctx context.Context, m stream.Message) error {
	chunk, err := decode(ctx, m)
	if err != nil {
		return err
	}
	if c.first == 0 {
		c.first = m.Sequence
	}
	for i, e := range chunk.Entries {
		if e.Correction == nil {
			continue
		}
		first, at := placeOf(e.Correction.First), past.Place{Sequence: m.Sequence, Index: i}
		stands, corrected := c.stands[first]
		if !corrected {
			stands = first
		}
		if placeOf(e.Correction.Corrects) == stands && (c.config.Refused == nil || !c.config.Refused(at)) {
			c.stands[first] = at
		}
	}
	return nil
}

// Len counts the events that were corrected.
func (c *Corrections) Len() int { return len(c.stands) }

// First is the ledger message of the first correction; 0 when there is none.
func (c *Corrections) First() uint64 { return c.first }

// Of returns the correction that says what the event is charged now whose debit
// stands at first, and its place; nil when it was never corrected.
func (c *Corrections) Of(ctx context.Context, first past.Place) (*events.Correction, events.LedgerPlace, error) {
	stands, corrected := c.stands[first]
	if !corrected {
		return nil, events.LedgerPlace{}, nil
	}
	m, ok, err := c.config.Ledger.Get(ctx, stands.Sequence)
	if err != nil {
		return nil, events.LedgerPlace{}, err
	}
	var chunk events.Chunk
	if ok {
		chunk, err = decode(ctx, m)
	}
	if err == nil && (len(chunk.Entries) <= stands.Index || chunk.Entries[stands.Index].Correction == nil) {
		err = fmt.Errorf("ledger message %d: found no correction; there was one", stands.Sequence)
	}
	if err != nil {
		return nil, events.LedgerPlace{}, err
	}
	return chunk.Entries[stands.Index].Correction, events.LedgerPlace{Sequence: m.Sequence, Index: stands.Index, StoredAt: m.Time}, nil
}

// Each visits what is charged, in the order of the debits in the ledger, from the
// place where from begins up to the end that they have now. It ends early with
// the error of visit, and is told of each message it reads through.
func Each(ctx context.Context, corrections *Corrections, from stream.From, through func(sequence uint64), visit func(Charge) error) error {
	c := corrections.config
	return stream.Each(ctx, c.Ledger, from, func(m stream.Message) error {
		chunk, err := decode(ctx, m)
		if err != nil {
			return err
		}
		for i, e := range chunk.Entries {
			if e.Debit == nil || c.Account != "" && e.Account != c.Account {
				continue
			}
			at := events.LedgerPlace{Sequence: m.Sequence, Index: i, StoredAt: m.Time}
			charge := Charge{Account: e.Account, Debit: e.Debit, First: at, Stands: at, Now: e.Debit}
			correction, stands, err := corrections.Of(ctx, placeOf(at))
			if err != nil {
				return err
			}
			if correction != nil {
				charge.Stands, charge.Now = stands, correction.Now
			}
			if err := visit(charge); err != nil {
				return err
			}
		}
		through(m.Sequence)
		return nil
	}, c.debits())
}

func placeOf(p events.LedgerPlace) past.Place {
	return past.Place{Sequence: p.Sequence, Index: p.Index}
}

// decode decodes a message of the ledger for somebody who still waits for it.
func decode(ctx context.Context, m stream.Message) (events.Chunk, error) {
	if ctx.Err() != nil {
		return events.Chunk{}, context.Cause(ctx)
	}
	chunk, err := events.DecodeChunk(m.Data)
	if err != nil {
		return chunk, fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
	}
	return chunk, nil
}
