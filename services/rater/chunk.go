package rater

import (
	"bytes"
	"context"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// Bounds of one chunk. Bytes are an estimate of its encoding and of what its
// dead letters keep in memory; one event may exceed them.
const (
	chunkEntriesMax = 1000
	chunkEventsMax  = 10_000
	chunkBytesMax   = 512 << 10

	entryOverhead = 320 // JSON around one debit

	// headBytes of a chunk's encoding hold its span, and no two chunks of a
	// partition have the same.
	headBytes = 512
)

// chunk is a run of settled usage events on its way into the ledger. Corrections
// that come while it is filled are counted with it.
type chunk struct {
	span        events.Span
	entries     []events.Entry
	deadLetters []events.DeadLetter
	keys        []dedup.Key  // of entries
	counts      dedup.Counts // of the counters that entries and corrections move, after them
	corrected   stream.Mark  // the last of the corrections that were counted meanwhile
	bytes       int
	head        []byte // of its encoding, as soon as it is encoded
}

func newChunk() *chunk { return &chunk{counts: dedup.Counts{}} }

// empty reports whether there is nothing to append.
func (c *chunk) empty() bool { return c.span.Events == 0 }

func (c *chunk) full() bool {
	return len(c.entries) >= chunkEntriesMax || c.span.Events >= chunkEventsMax ||
		len(c.deadLetters) >= chunkEntriesMax || c.bytes >= chunkBytesMax
}

func (c *chunk) through(p events.Position) {
	c.span.Through = p
	c.span.Events++
}

func (c *chunk) charge(u events.Usage, d events.Debit, key dedup.Key, rawBytes int) {
	c.through(d.Position)
	c.entries = append(c.entries, events.Entry{Kind: events.EntryDebit, Account: u.Account, Debit: &d})
	c.keys = append(c.keys, key)
	c.bytes += rawBytes + len(u.Source) + len(u.ID) + len(u.Account) + len(d.Rule) + len(d.Arithmetic) + entryOverhead
}

func (c *chunk) duplicate(p events.Position) {
	c.through(p)
	c.span.Duplicates++
}

func (c *chunk) reject(p events.Position, d events.DeadLetter) {
	c.through(p)
	c.span.Rejected++
	c.deadLetters = append(c.deadLetters, d)
	c.bytes += len(d.Body) + entryOverhead
}

// append keeps the dead letters of c and then appends c behind the ledger
// message at the partition's fence. It returns the chunk's own sequence.
// stream.ErrFenced means that it is not in the ledger; any other error that
// nobody knows.
//
// Before that it makes sure that USAGE still holds the message that c goes on
// behind: a reader that stays open while the stream loses its end is handed what
// comes behind its own place, and never what was stored at or before that.
func (p *partition) append(ctx context.Context, c *chunk) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := events.EncodeChunk(events.Chunk{Span: &c.span, Entries: c.entries})
	if err != nil {
		return 0, err
	}
	if err := positionMark(p.position).Verify(ctx, p.usage); err != nil {
		return 0, err
	}
	c.head = bytes.Clone(body[:min(len(body), headBytes)])
	if err := p.keep(ctx, c.deadLetters); err != nil {
		return 0, err
	}
	return p.ledger.Append(ctx, stream.Append{Subject: p.subject, Data: body, Fence: &stream.Fence{Sequence: p.fence}})
}
