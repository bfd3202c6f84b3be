package rater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

const (
	// progressEvery is how often a long reading of the ledger is told of.
	progressEvery = 5 * time.Second
	// catchUpKeys go into the index at a time while the ledger is read.
	catchUpKeys = 1 << 13
)

// resume brings index, position and fence to what the partition's own ledger
// messages say, whoever wrote them.
func (p *partition) resume(ctx context.Context) error {
	if err := p.openIndex(); err != nil {
		return err
	}
	p.forget()
	last, err := p.lastOn(ctx, p.subject)
	if err != nil {
		return err
	}
	matters, err := p.windowOf(last)
	if err != nil {
		return err
	}
	why, err := p.distrust(ctx, matters)
	if err != nil {
		return err
	}
	if why != "" {
		p.rebuild(why)
	}
	if why != "" || p.index.State().Mark.Sequence == 0 {
		if err := p.index.Clear(matters.from()); err != nil {
			return err
		}
	}
	c := catchUp{partition: p, last: last, from: matters.from()}
	if err = c.run(ctx); errors.Is(err, errGoesBack) {
		p.rebuild(err.Error())
		if err := p.index.Clear(matters.from()); err != nil {
			return err
		}
		c = catchUp{partition: p, last: last, from: matters.from()}
		err = c.run(ctx)
	}
	if err == nil {
		err = p.catchUpCorrections(ctx)
	}
	if err != nil {
		return err
	}
	return p.index.Expire(p.position.StoredAt)
}

// window says since when the ledger's messages matter; the zero time means all.
type window struct {
	keys     time.Time // to whether an event is known
	counters time.Time // to what a tier counter stands at
	tiered   bool      // some version of the rate card has tiers
}

func (w window) from() time.Time {
	if w.tiered && w.counters.Before(w.keys) {
		return w.counters
	}
	return w.keys
}

// lastOn is the ledger's newest message on a subject, the zero value when there
// is none.
func (p *partition) lastOn(ctx context.Context, subject string) (stream.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, _, err := p.ledger.Last(ctx, subject)
	return last, err
}

// windowOf returns what matters to the usage that is read next, when last is the
// newest of the partition's own ledger messages: it was stored no earlier than
// what last settled.
func (p *partition) windowOf(last stream.Message) (w window, err error) {
	since, tiered := p.cards.current().TieredSince()
	w.tiered = tiered
	if last.Sequence == 0 {
		return w, nil
	}
	c, err := decodeOwn(last)
	if err != nil {
		return w, err
	}
	stored := c.Span.Through.StoredAt
	if stored.IsZero() {
		return w, nil
	}
	if last.Time.Before(stored) { // by clocks that differ
		stored = last.Time
	}
	id := p.identity()
	w.keys, w.counters = stored.Add(-id.Window()), stored.Add(-id.Reach())
	if ahead := since.Add(-id.Window() + id.Horizon); !since.IsZero() && ahead.After(w.counters) {
		w.counters = ahead // nothing was counted before
	}
	return w, nil
}

// distrust says why the index cannot be built on, if it cannot.
func (p *partition) distrust(ctx context.Context, matters window) (why string, err error) {
	state := p.index.State()
	mark := state.Mark
	if err = verified(ctx, p.ledger, mark); err == nil {
		mark = state.Corrected
		err = verified(ctx, p.ledger, mark)
	}
	var rewound *stream.RewindError
	switch {
	case errors.As(err, &rewound):
		return fmt.Sprintf("it stands at message %d of %s, stored at %s; found message %d, stored at %s: the ledger lost its end",
			mark.Sequence, rewound.Stream, mark.StoredAt.UTC().Format(time.RFC3339Nano),
			rewound.Found.Sequence, rewound.Found.StoredAt.UTC().Format(time.RFC3339Nano)), nil
	case err != nil:
		return "", err
	case state.Mark.Sequence == 0:
		return "", nil
	case state.Mark.StoredAt.Before(matters.from()):
		return fmt.Sprintf("it ends at %s, before the horizon", state.Mark.StoredAt.UTC().Format(time.RFC3339)), nil
	case matters.tiered && p.index.Since().After(matters.counters):
		return fmt.Sprintf("its counters begin at %s, after the tiers they are for", p.index.Since().UTC().Format(time.RFC3339)), nil
	}
	return "", nil
}

// catchUp reads the partition's own ledger messages that the index lacks.
type catchUp struct {
	*partition
	last stream.Message // the newest one
	from time.Time      // since when they matter

	whole  bool // the index held nothing, so that all that matters is read
	first  bool // nothing is read yet of the whole
	keys   []dedup.Key
	moved  dedup.Counts
	unsent dedup.State // the place of keys and moved
	told   time.Time
}

// run reads up to the newest message.
func (c *catchUp) run(ctx context.Context) error {
	state := c.index.State()
	c.position, c.fence, c.told, c.moved = state.Position, state.Mark.Sequence, time.Now(), dedup.Counts{}
	if c.last.Sequence <= c.fence {
		return nil
	}
	from := stream.From{Sequence: c.fence + 1}
	if c.fence == 0 {
		from, c.whole, c.first = stream.From{Since: c.from}, true, true
	}
	reader, err := c.ledger.Read(ctx, from, c.subject)
	if err != nil {
		return err
	}
	defer reader.Close()
	for c.fence < c.last.Sequence {
		m, err := c.next(ctx, reader, c.subject)
		if err != nil {
			return err
		}
		if err := c.adopt(m); err != nil {
			return err
		}
		c.tell()
	}
	return c.flush()
}

// next waits for a message that is known to be there.
func (p *partition) next(ctx context.Context, reader *stream.Reader, subject string) (stream.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := reader.Next(ctx)
	if err != nil {
		return m, fmt.Errorf("read %s: %w", subject, err)
	}
	return m, nil
}

// errGoesBack reports that the ledger takes usage back that an index has moved
// on from: what it has forgotten since may matter again.
var errGoesBack = errors.New("usage goes back to an earlier place")

// adopt folds one of the partition's own ledger messages.
func (c *catchUp) adopt(m stream.Message) error {
	chunk, err := decodeOwn(m)
	if err != nil {
		return err
	}
	through := chunk.Span.Through
	switch rewound := chunk.Span.Rewound; {
	case rewound && !c.whole:
		return errGoesBack
	case !c.first && rewound == behind(c.position, through):
		want := "behind"
		if rewound {
			want = "before"
		}
		return corrupt(m, "it settles usage through %d/%d; expected a position %s %d/%d",
			through.Sequence, through.Index, want, c.position.Sequence, c.position.Index)
	}
	for _, e := range chunk.Entries {
		c.keys = append(c.keys, dedup.KeyOf(e.Debit.Source, e.Debit.ID))
		if err := c.count(e.Account, e.Debit, c.moved); err != nil {
			return err
		}
	}
	c.first, c.position, c.fence = false, through, m.Sequence
	c.unsent = dedup.State{Mark: stream.MarkOf(m), Position: through, Corrected: c.index.State().Corrected}
	if len(c.keys) >= catchUpKeys {
		return c.flush()
	}
	return nil
}

func (c *catchUp) flush() error {
	if c.unsent.Mark.Sequence == 0 {
		return nil
	}
	if err := c.index.Commit(c.keys, c.moved, c.unsent); err != nil {
		return err
	}
	c.counters.settle(c.moved, stream.Mark{})
	c.counters.saved()
	clear(c.moved)
	c.keys, c.unsent = c.keys[:0], dedup.State{}
	return nil
}

func (c *catchUp) tell() {
	if time.Since(c.told) < progressEvery {
		return
	}
	c.told = time.Now()
	c.log.Info("reading the ledger", "through", c.fence, "of", c.last.Sequence, "known", c.known())
	c.report(lease.StateStarting, nil)
}

// decodeOwn decodes a message on the subject of a partition's debits.
func decodeOwn(m stream.Message) (events.Chunk, error) {
	c, err := events.DecodeChunk(m.Data)
	switch {
	case err != nil:
		return c, corrupt(m, "%v", err)
	case c.Span == nil:
		return c, corrupt(m, "found no span; expected the usage it settles")
	}
	for _, e := range c.Entries {
		if e.Kind != events.EntryDebit {
			return c, corrupt(m, "found an entry of kind %s; expected debits alone", e.Kind)
		}
	}
	return c, nil
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
