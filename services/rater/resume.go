package rater

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// resume brings dedup, position and fence to what the partition's own ledger
// messages say, whoever wrote them.
func (p *partition) resume(ctx context.Context) error {
	last, err := p.lastOwn(ctx)
	if err != nil {
		return err
	}
	if last.Sequence < p.fence || last.Sequence == p.fence && p.fence != 0 && !p.wrote(last) {
		p.log.Error("the ledger lost messages; reading it from the start", "expected", p.fence, "found", last.Sequence)
		p.dedup, p.position, p.fence = newDedup(), events.Position{}, 0
	}
	if last.Sequence == p.fence {
		return nil
	}
	reader, err := p.ledger.Read(ctx, stream.From{Sequence: p.fence + 1}, p.subject)
	if err != nil {
		return err
	}
	defer reader.Close()
	for p.fence < last.Sequence {
		m, err := p.next(ctx, reader)
		if err != nil {
			return err
		}
		if err := p.adopt(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) lastOwn(ctx context.Context) (stream.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, _, err := p.ledger.Last(ctx, p.subject)
	return last, err
}

// next waits for a message that is known to be there.
func (p *partition) next(ctx context.Context, reader *stream.Reader) (stream.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := reader.Next(ctx)
	if err != nil {
		return m, fmt.Errorf("read %s behind %d: %w", p.subject, p.fence, err)
	}
	return m, nil
}

// wrote reports whether m is the ledger message that the partition stands at.
func (p *partition) wrote(m stream.Message) bool {
	c, err := events.DecodeChunk(m.Data)
	return err == nil && c.Span != nil && samePosition(c.Span.Through, p.position)
}

func samePosition(a, b events.Position) bool {
	return a.Sequence == b.Sequence && a.Index == b.Index && a.StoredAt.Equal(b.StoredAt)
}

// adopt folds one of the partition's own ledger messages.
func (p *partition) adopt(m stream.Message) error {
	corrupt := func(reason string) error {
		return &corruptError{stream: events.StreamLedger, sequence: m.Sequence, reason: reason}
	}
	c, err := events.DecodeChunk(m.Data)
	switch {
	case err != nil:
		return corrupt(err.Error())
	case c.Span == nil:
		return corrupt("found no span; expected the usage it settles")
	case !behind(p.position, c.Span.Through):
		return corrupt(fmt.Sprintf("it settles usage through %d/%d; expected a position behind %d/%d",
			c.Span.Through.Sequence, c.Span.Through.Index, p.position.Sequence, p.position.Index))
	}
	for _, e := range c.Entries {
		if e.Kind != events.EntryDebit {
			return corrupt(fmt.Sprintf("found an entry of kind %s; expected debits alone", e.Kind))
		}
	}
	for _, e := range c.Entries {
		p.dedup.add(keyOf(e.Debit.Source, e.Debit.ID))
	}
	p.position, p.fence = c.Span.Through, m.Sequence
	return nil
}

// behind reports whether b stands behind a.
func behind(a, b events.Position) bool {
	return b.Sequence > a.Sequence || b.Sequence == a.Sequence && b.Index > a.Index
}

func positionMark(p events.Position) stream.Mark {
	return stream.Mark{Sequence: p.Sequence, StoredAt: p.StoredAt}
}

// verified checks in a bounded time that l holds the message that m names.
func verified(ctx context.Context, l stream.Log, m stream.Mark) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return m.Verify(ctx, l)
}
