package clickhouse

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// batch is what one contiguous range of LEDGER messages puts into ClickHouse.
type batch struct {
	span   span
	month  int
	bytes  int
	usage  *usageRows
	ledger *ledgerRows
}

func newBatch() *batch { return &batch{usage: newUsageRows(), ledger: newLedgerRows()} }

func (b *batch) empty() bool { return b.ledger.rows() == 0 }

func (b *batch) reset() {
	b.span, b.month, b.bytes = span{}, 0, 0
	b.usage.reset()
	b.ledger.reset()
}

// seal makes the batch ready to be sent, any number of times.
func (b *batch) seal() {
	b.usage.seal(b.span)
	b.ledger.seal(b.span)
}

// open notes that message m is the batch's next.
func (b *batch) open(m stream.Message) {
	if b.empty() {
		b.span.first, b.month = m.Sequence, month(m.Time)
	}
	b.span.last = m.Sequence
	b.bytes += len(m.Data)
}

// folder turns LEDGER messages into rows, by a fold of its own.
type folder struct {
	state    *ledger.State
	folded   uint64 // sequence of the last message
	postings []ledger.Posting
}

func newFolder() *folder { return &folder{state: ledger.New()} }

// fold takes the next message and adds its rows to b, which is nil for messages
// that ClickHouse holds already. Every message gives at least one row.
func (f *folder) fold(m stream.Message, b *batch) error {
	if m.Sequence != f.folded+1 {
		return diverged("stream %s gave message %d after %d", events.StreamLedger, m.Sequence, f.folded)
	}
	f.folded = m.Sequence
	chunk, err := events.DecodeChunk(m.Data)
	if err != nil {
		return fmt.Errorf("decode message %d of stream %s: %w", m.Sequence, events.StreamLedger, err)
	}
	if b != nil {
		b.open(m)
	}
	recordedAt := m.Time.UTC().Truncate(time.Microsecond)
	number := 0
	for i, e := range chunk.Entries {
		point := ledger.Point{Sequence: m.Sequence, Index: i, Time: recordedAt}
		_, f.postings = f.state.Apply(point, e, f.postings[:0])
		if b == nil {
			continue
		}
		for j, p := range f.postings {
			from := origin{sequence: m.Sequence, recordedAt: recordedAt, entry: i, posting: number}
			b.put(from, p, &e, j == len(f.postings)-1)
			number++
		}
	}
	if b != nil && number == 0 {
		b.ledger.putNone(origin{sequence: m.Sequence, recordedAt: recordedAt})
	}
	return nil
}

// put adds one posting of entry e; own says that it is the entry's own and not
// what time did before it.
func (b *batch) put(from origin, p ledger.Posting, e *events.Entry, own bool) {
	var debit *events.Debit
	if own && p.Kind == ledger.PostingDebit {
		debit = e.Debit // nil in an entry without content, which is refused
	}
	b.ledger.put(from, p, debit)
	if debit != nil && p.Refused == "" {
		b.usage.put(from, p.Account, debit)
	}
}
