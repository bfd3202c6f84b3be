package audit

import (
	"context"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// place is one entry of the ledger.
type place struct {
	sequence uint64
	index    int
}

func placeOf(p events.LedgerPlace) place { return place{p.Sequence, p.Index} }

// corrections say which entry each corrected event stands by, by its debit.
type corrections map[place]place

// correct checks a correction and what the fold made of it: that it names the
// entry by which the event stands, takes back exactly what that entry charges, and
// was applied.
func (b *book) correct(ctx context.Context, log stream.Log, at place, e events.Entry, d events.Decision, r *Report) error {
	c := e.Correction
	differ := func(format string, v ...any) {
		r.differ("ledger", "the correction of usage event %s %s in message %d "+format, append([]any{c.Source, c.ID, at.sequence}, v...)...)
	}
	first := placeOf(c.First)
	stands, corrected := b.corrected[first]
	if !corrected {
		stands = first
	}
	if placeOf(c.Corrects) != stands {
		differ("corrects entry %d of message %d; the event stands by entry %d of message %d", c.Corrects.Index, c.Corrects.Sequence, stands.index, stands.sequence)
	}
	if d.Outcome != events.Applied {
		differ("is refused (%s): it charges nothing, and tier counters follow it all the same", d.Code)
	} else {
		b.corrected[first] = at
	}
	named, err := entryAt(ctx, log, c.Corrects)
	switch {
	case err != nil:
		return err
	case named == nil || named.Account != e.Account:
		differ("corrects entry %d of message %d, which is none of account %s", c.Corrects.Index, c.Corrects.Sequence, e.Account)
	case named.Correction != nil && (named.Correction.Source != c.Source || named.Correction.ID != c.ID || placeOf(named.Correction.First) != first):
		differ("corrects the correction of another event, in message %d", c.Corrects.Sequence)
	case !correction.Equal(charged(named), c.Was):
		differ("takes back another charge than entry %d of message %d makes", c.Corrects.Index, c.Corrects.Sequence)
	}
	return nil
}

// charged is what an entry charges a usage event; nil when that is nothing.
func charged(e *events.Entry) *events.Debit {
	if e.Correction != nil {
		return e.Correction.Now
	}
	return e.Debit
}

// entryAt returns an entry of the ledger, nil when there is none stored then.
func entryAt(ctx context.Context, log stream.Log, at events.LedgerPlace) (*events.Entry, error) {
	m, ok, err := log.Get(ctx, at.Sequence)
	if err != nil || !ok || !m.Time.Equal(at.StoredAt) {
		return nil, err
	}
	chunk, err := events.DecodeChunk(m.Data)
	if err != nil || at.Index >= len(chunk.Entries) {
		return nil, nil // not the ledger's, which is told where it stands
	}
	return &chunk.Entries[at.Index], nil
}
