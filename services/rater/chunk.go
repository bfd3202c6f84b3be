package rater

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Bounds of one chunk. Bytes are an estimate of its encoding and of what its
// dead letters keep in memory; one event may exceed them.
const (
	chunkEntriesMax = 1000
	chunkEventsMax  = 10_000
	chunkBytesMax   = 512 << 10

	entryOverhead = 320 // JSON around one debit
)

// chunk is a run of settled usage events on its way into the ledger.
type chunk struct {
	span        events.Span
	entries     []events.Entry
	deadLetters []events.DeadLetter
	keys        []eventKey // of entries, added to the dedup set
	bytes       int
}

func (c *chunk) empty() bool { return c.span.Events == 0 }

func (c *chunk) full() bool {
	return len(c.entries) >= chunkEntriesMax || c.span.Events >= chunkEventsMax ||
		len(c.deadLetters) >= chunkEntriesMax || c.bytes >= chunkBytesMax
}

func (c *chunk) through(p events.Position) {
	c.span.Through = p
	c.span.Events++
}

func (c *chunk) charge(u events.Usage, d events.Debit, key eventKey, rawBytes int) {
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

// write keeps the chunk's dead letters and then appends it behind the ledger
// message at fence. It returns the chunk's own sequence. stream.ErrFenced
// means that it is not in the ledger; any other error that nobody knows.
func (c *chunk) write(ctx context.Context, js jetstream.JetStream, partition int, fence uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := events.EncodeChunk(events.Chunk{Span: &c.span, Entries: c.entries})
	if err != nil {
		return 0, err
	}
	if err := keep(ctx, js, partition, c.deadLetters); err != nil {
		return 0, err
	}
	m := nats.NewMsg(events.LedgerSubject(partition, events.WriterUsage))
	m.Data = body
	return stream.AppendFenced(ctx, js, m, m.Subject, fence)
}

// keep publishes dead letters and returns when all are stored. One that is
// stored already is not stored again.
func keep(ctx context.Context, js jetstream.JetStream, partition int, letters []events.DeadLetter) error {
	stored := make([]jetstream.PubAckFuture, 0, len(letters))
	for _, d := range letters {
		m := deadLetterMsg(partition, d, js.Conn().MaxPayload())
		future, err := js.PublishMsgAsync(m, jetstream.WithExpectLastSequencePerSubject(0))
		if err != nil {
			return fmt.Errorf("publish %s: %w", m.Subject, err)
		}
		stored = append(stored, future)
	}
	for _, future := range stored {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if !stream.IsFenced(err) {
				return fmt.Errorf("publish %s: %w", future.Msg().Subject, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("publish %s: %w", future.Msg().Subject, ctx.Err())
		}
	}
	return nil
}

// deadLetterMsg encodes d. Where the original and the reason together exceed
// what one message may hold, the original is cut and the detail says so; USAGE
// has the whole.
func deadLetterMsg(partition int, d events.DeadLetter, maxPayload int64) *nats.Msg {
	m := nats.NewMsg(events.DeadLetterSubject(partition, d.Sequence, d.Index))
	m.Header, m.Data = events.DeadLetterHeader(d), d.Body
	const fenceBytes = 128 // headers that the fence adds
	excess := m.Size() + fenceBytes - int(maxPayload)
	if excess <= 0 {
		return m
	}
	note := fmt.Sprintf(" (cut to fit one message; the original is at sequence %d of USAGE)", d.Sequence)
	d.Detail += note
	if excess += len(note); excess <= len(d.Body) {
		d.Body = d.Body[:len(d.Body)-excess]
	} else {
		d.Header, d.Body = nil, d.Body[:min(len(d.Body), int(maxPayload)/2)]
	}
	m.Header, m.Data = events.DeadLetterHeader(d), slices.Clip(d.Body)
	return m
}
