package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Table names a table that a projection writes.
type Table string

// The tables. Everything else in the database follows from TableLedger.
const (
	TableUsage   Table = "usage_events"
	TableLedger  Table = "ledger"
	TableSignals Table = "signals"
	TableStopped Table = "stopped_partitions"
)

// Store is the database that a projection fills. NewStore's is ClickHouse;
// tests have one that fails in every way it may.
//
// An insert of rows is all or nothing in its table. What follows from the table
// may be left behind by a crash, and is completed when the same block is
// inserted again: a store recognises a block by table and token, among its
// newest 10 000, and takes each once. It does not compare the rows.
//
// Methods may be called from several goroutines; Insert, for one table, from
// one at a time. After any error but those named, nobody knows what happened.
type Store interface {
	// Open makes the database ready, waits until no insert that an earlier
	// projection sent is being carried out, and says whose the database is.
	Open(ctx context.Context) (Owner, error)
	// Claim gives the database to an installation, unless it has one, and says
	// whose it is then.
	Claim(ctx context.Context, installation string) (Owner, error)
	// Newest returns the newest batch in a table, and the zero value when there
	// is none. ErrDiverged says that the table does not end with one whole batch.
	Newest(ctx context.Context, table Table) (Held, error)
	// Insert inserts a block that has rows. It refuses one of another generation
	// than the tables'.
	Insert(ctx context.Context, b Block) error
	// Close ends what connections there are; Open makes new ones.
	Close()
}

// Owner says whose a database is.
type Owner struct {
	// Database is its identity, made once and never changed.
	Database string
	// Installation is the installation that it belongs to; empty before Claim.
	Installation string
	// Generation counts how often the tables were rebuilt.
	Generation uint64
}

// Held is the newest batch that a table holds.
type Held struct {
	Span
	Rows int // that the batch has in this table
	// Newest names the message that the newest row is of. Tables keep times in
	// microseconds.
	Newest stream.Mark
}

// Span is a run of sequences of a stream, both ends included.
type Span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// token names what the span's insert holds, so that ClickHouse recognises it.
func (s Span) token(stream string) string {
	return fmt.Sprintf("%s:%d-%d", stream, s.First, s.Last)
}

func (s Span) String() string { return fmt.Sprintf("%d-%d", s.First, s.Last) }

// Block is what one batch puts into one table. It is valid during Insert.
type Block struct {
	Table Table
	// Token names the block; the same rows always have the same.
	Token string
	Span  Span
	// Generation is that of the tables which the block is for.
	Generation uint64

	content content
}

// content are the rows of one table.
type content interface {
	name() Table
	rows() int
	row(i int) Row
	block() proto.Input
}

// Row is what a store that is not ClickHouse may want to know of a row.
type Row struct {
	Sequence uint64 // of the message
	Entry    int    // its place in the message
	Posting  int    // of TableLedger: its place among the message's postings
	Account  string
	Kind     string // of the posting, or of the signal
	Refused  string // why the posting changed nothing; empty when it did
	// Source and ID name the usage event, if it is of one.
	Source, ID string
	// Amount is the charge, Granted what a grant adds, Available what is left.
	Amount, Granted, Available events.Credits
}

// Len returns how many rows there are.
func (b Block) Len() int { return b.content.rows() }

// Row returns row i.
func (b Block) Row(i int) Row { return b.content.row(i) }

// ErrDiverged reports that ClickHouse holds something else than the stream
// gives, or than was agreed on. The error says what. Nothing that goes on by
// itself repairs it; drawdown rebuild clickhouse does.
var ErrDiverged = errors.New("ClickHouse and the stream differ")

// ErrForeign reports that a database, or the streams' note about it, belongs to
// somebody else.
var ErrForeign = errors.New("not this installation's")

func diverged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDiverged, fmt.Sprintf(format, args...))
}

func foreign(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForeign, fmt.Sprintf(format, args...))
}
