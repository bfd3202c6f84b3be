package clickhouse

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// batch is what one contiguous range of LEDGER messages puts into ClickHouse.
type batch struct {
	span    Span
	mark    stream.Mark // of the last message
	stops   []Stop      // partitions that have stopped, up to here
	month   int
	bytes   int
	stopped *stoppedRows
	usage   *usageRows
	ledger  *ledgerRows
}

func newBatch() *batch {
	return &batch{stopped: newStoppedRows(), usage: newUsageRows(), ledger: newLedgerRows()}
}

func (b *batch) empty() bool { return b.ledger.rows() == 0 }

// tables are the batch's rows, in the order in which they are sent.
func (b *batch) tables() []content { return []content{b.stopped, b.usage, b.ledger} }

func (b *batch) reset() {
	b.span, b.mark, b.stops, b.month, b.bytes = Span{}, stream.Mark{}, nil, 0, 0
	b.stopped.reset()
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
		b.span.First, b.month = m.Sequence, month(m.Time)
	}
	b.span.Last, b.mark = m.Sequence, stream.MarkOf(m)
	b.bytes += len(m.Data)
}

// put adds one posting of entry e; own says that it is the entry's own and not
// what time did before it.
func (b *batch) put(from origin, p ledger.Posting, e *events.Entry, own bool) {
	var debit *events.Debit
	var correction *events.Correction
	if own && p.Kind == ledger.PostingDebit {
		debit = e.Debit // nil in an entry without content, which is refused
	}
	if own && p.Kind == ledger.PostingCorrection {
		correction = e.Correction
	}
	b.ledger.put(from, p, debit, correction)
	if debit != nil && p.Refused == "" {
		b.usage.put(from, p.Account, debit)
	}
}

// folder turns LEDGER messages into rows, by a fold of its own.
type folder struct {
	state      *ledger.State
	partitions int    // of the installation
	folded     uint64 // sequence of the last message
	mark       stream.Mark
	entries    int // folded since somebody last set it to 0
	stops      stops
	agreed     uint64 // the last message about which all writers must say the same
	postings   []ledger.Posting
}

func newFolder(m manifest, partitions int) *folder {
	return &folder{state: ledger.New(), partitions: partitions, stops: stops{known: m.Stopped}, agreed: m.Newest.Last}
}

// fold takes the next message and adds its rows to b, which is nil for messages
// that ClickHouse holds already. Every message gives at least one row.
func (f *folder) fold(m stream.Message, b *batch) error {
	if m.Sequence != f.folded+1 {
		return diverged("stream %s gave message %d after %d", events.StreamLedger, m.Sequence, f.folded)
	}
	f.folded, f.mark = m.Sequence, stream.MarkOf(m)
	chunk, stop, err := f.read(m)
	if err != nil {
		return err
	}
	f.entries += len(chunk.Entries)
	recordedAt := m.Time.UTC().Truncate(time.Microsecond)
	if b == nil {
		f.apply(m.Sequence, recordedAt, chunk, nil)
		return nil
	}
	b.open(m)
	if f.apply(m.Sequence, recordedAt, chunk, b) == 0 {
		b.ledger.putNone(origin{sequence: m.Sequence, recordedAt: recordedAt})
	}
	if stop != nil {
		b.stopped.put(*stop)
	}
	b.stops = f.stops.list()
	return nil
}

// read decodes m, unless its partition has stopped. If it stops here, read says
// so.
func (f *folder) read(m stream.Message) (events.Chunk, *Stop, error) {
	partition, err := partitionOf(m.Subject)
	if f.stops.withheld(partition) {
		return events.Chunk{}, nil, nil
	}
	var chunk events.Chunk
	if err == nil {
		chunk, err = events.DecodeChunk(m.Data)
	}
	if err == nil {
		err = events.CheckOrigin(m.Subject, chunk, f.partitions)
	}
	stop, known := f.stops.expected(m)
	switch {
	case known: // also when this version can read it
	case err == nil:
		return chunk, nil, nil
	case m.Sequence <= f.agreed:
		return events.Chunk{}, nil, diverged("another version has written message %d of stream %s, which this one refuses: %v; run the newer version, or drawdown rebuild clickhouse",
			m.Sequence, events.StreamLedger, err)
	default:
		stop = Stop{Partition: partition, Sequence: m.Sequence, Reason: err.Error(), RecordedAt: m.Time.UTC().Truncate(time.Microsecond)}
	}
	f.stops.add(stop)
	return events.Chunk{}, &stop, nil
}

// apply folds the entries of message number sequence into b, if there is one,
// and returns how many rows of table ledger that gave.
func (f *folder) apply(sequence uint64, recordedAt time.Time, chunk events.Chunk, b *batch) int {
	number := 0
	for i, e := range chunk.Entries {
		_, f.postings = f.state.Apply(ledger.Point{Sequence: sequence, Index: i, Time: recordedAt}, e, f.postings[:0])
		if b == nil {
			continue
		}
		for j, p := range f.postings {
			from := origin{sequence: sequence, recordedAt: recordedAt, entry: i, posting: number}
			b.put(from, p, &e, j == len(f.postings)-1)
			number++
		}
	}
	return number
}
