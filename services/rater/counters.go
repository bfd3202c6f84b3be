package rater

import (
	"context"
	"fmt"
	"maps"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// counters are the tier counters that moved since the index was last moved.
type counters struct {
	current   dedup.Counts // also what chunks that are being filled and written moved
	unsaved   dedup.Counts // by chunks that are in the ledger
	corrected stream.Mark  // the last correction in them, or in the index
}

func newCounters() counters {
	return counters{current: dedup.Counts{}, unsaved: dedup.Counts{}}
}

// settle notes that what moved counters to after is in the ledger, corrections
// through one of them included.
func (c *counters) settle(after dedup.Counts, corrected stream.Mark) {
	maps.Copy(c.unsaved, after)
	if corrected.Sequence > 0 {
		c.corrected = corrected
	}
}

// saved notes that the index holds what is in the ledger.
func (c *counters) saved() {
	maps.DeleteFunc(c.current, func(k dedup.CounterKey, count dedup.Count) bool {
		saved, ok := c.unsaved[k]
		return ok && saved == count
	})
	clear(c.unsaved)
}

// counted returns what a counter stands at.
func (p *partition) counted(k dedup.CounterKey) (dedup.Count, error) {
	if count, ok := p.counters.current[k]; ok {
		return count, nil
	}
	return p.index.Count(k)
}

// total returns what a counter stands at for the event that is rated next.
func (p *partition) total(k dedup.CounterKey) (events.Total, error) {
	count, err := p.counted(k)
	if err != nil {
		return events.Total{}, err
	}
	return count.Total()
}

// count puts what a debit of account counts into its counters, and notes in after
// where they stand then.
func (p *partition) count(account string, d *events.Debit, after dedup.Counts) error {
	return p.move(account, d, dedup.Count.Add, after)
}

// correct takes out of the counters what the charge counted that m takes back,
// and puts in what the one counts that takes its place. Whether the fold let the
// account be charged so does not matter: the counters are what the ledger says.
func (p *partition) correct(m stream.Message, after dedup.Counts) error {
	corrections, err := decodeCorrections(m)
	if err != nil {
		return err
	}
	for _, e := range corrections {
		if was := e.Correction.Was; was != nil {
			if err := p.move(e.Account, was, dedup.Count.Sub, after); err != nil {
				return err
			}
		}
		if now := e.Correction.Now; now != nil {
			if err := p.move(e.Account, now, dedup.Count.Add, after); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *partition) move(account string, d *events.Debit, by func(dedup.Count, events.Quantity) dedup.Count, after dedup.Counts) error {
	for i := range d.Tiers {
		t := &d.Tiers[i]
		k := dedup.CounterKeyOf(account, t.Period, d.Counter(*t))
		count, err := p.counted(k)
		if err != nil {
			return fmt.Errorf("count %s of %s: %w", t.Quantity, account, err)
		}
		count = by(count, t.Amount)
		p.counters.current[k], after[k] = count, count
	}
	return nil
}

// uncorrected is where the corrections begin that the index lacks.
func (p *partition) uncorrected() stream.From {
	if s := p.index.State().Corrected.Sequence; s > 0 {
		return stream.From{Sequence: s + 1}
	}
	return stream.From{Since: p.index.Since()}
}

// catchUpCorrections counts the corrections that the index lacks, all that are
// there now.
func (p *partition) catchUpCorrections(ctx context.Context) error {
	state, from := p.index.State(), p.uncorrected()
	p.counters.corrected = state.Corrected
	subject := events.CorrectionSubjects(p.number)
	last, err := p.lastOn(ctx, subject)
	if err != nil {
		return err
	}
	if last.Sequence <= state.Corrected.Sequence || last.Time.Before(from.Since) {
		return nil
	}
	reader, err := p.ledger.Read(ctx, from, subject)
	if err != nil {
		return err
	}
	defer reader.Close()
	moved := dedup.Counts{}
	for at := (stream.Mark{}); at.Sequence < last.Sequence; {
		m, err := p.next(ctx, reader, subject)
		if err != nil {
			return err
		}
		if err := p.correct(m, moved); err != nil {
			return err
		}
		if at = stream.MarkOf(m); at.Sequence < last.Sequence && len(moved) < catchUpKeys {
			continue
		}
		state.Corrected = at
		if err := p.index.Commit(nil, moved, state); err != nil {
			return err
		}
		p.counters.settle(moved, at)
		p.counters.saved()
		clear(moved)
	}
	return nil
}

// decodeCorrections decodes a message on the subject of a partition's corrections.
func decodeCorrections(m stream.Message) ([]events.Entry, error) {
	c, err := events.DecodeChunk(m.Data)
	if err != nil {
		return nil, corrupt(m, "%v", err)
	}
	for _, e := range c.Entries {
		if e.Kind != events.EntryCorrection {
			return nil, corrupt(m, "found an entry of kind %s; expected corrections alone", e.Kind)
		}
	}
	return c.Entries, nil
}
