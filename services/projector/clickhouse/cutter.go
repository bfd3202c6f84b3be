package clickhouse

import (
	"fmt"
	"time"
)

// limits say when a batch is full. One message may take it past them.
type limits struct {
	rows  int
	bytes int // of the messages
}

// A batch is far below the 1 048 449 rows at which ClickHouse splits a block,
// and splitting would make half an insert possible.
var defaultLimits = limits{rows: 50_000, bytes: 32 << 20}

// month is the partition of a message in ClickHouse.
func month(recordedAt time.Time) int {
	t := recordedAt.UTC()
	return t.Year()*100 + int(t.Month())
}

// cutter decides where one batch ends and the next begins.
type cutter struct {
	limits limits
	// promised are the ranges that ClickHouse may hold already, wholly or in
	// part. They come first, exactly as they are.
	promised []promise
}

// promise is a range that was agreed on or sent before, and how many rows it
// has in each table; -1 where nobody says.
type promise struct {
	Span
	ledgerRows, usageRows int
}

// before reports whether b must end before a message recorded at t.
func (c *cutter) before(b *batch, t time.Time) bool {
	return !b.empty() && len(c.promised) == 0 && month(t) != b.month
}

// after reports whether b is full.
func (c *cutter) after(b *batch) bool {
	if len(c.promised) > 0 {
		return b.span.Last >= c.promised[0].Last
	}
	return b.ledger.rows() >= c.limits.rows || b.bytes >= c.limits.bytes
}

// early reports whether b may be sent although it is not full.
func (c *cutter) early() bool { return len(c.promised) == 0 }

// keep checks b against the promise it fulfils, if there is one, and drops that.
func (c *cutter) keep(b *batch) error {
	if len(c.promised) == 0 {
		return nil
	}
	p := c.promised[0]
	c.promised = c.promised[1:]
	if b.span != p.Span {
		panic(fmt.Sprintf("batch %s is not the promised %s", b.span, p.Span))
	}
	if p.ledgerRows >= 0 && b.ledger.rows() != p.ledgerRows {
		return diverged("batch %s has %d rows of table ledger, and the stream now gives %d", b.span, p.ledgerRows, b.ledger.rows())
	}
	if p.usageRows >= 0 && b.usage.rows() != p.usageRows {
		return diverged("batch %s has %d rows of table usage_events, and the stream now gives %d", b.span, p.usageRows, b.usage.rows())
	}
	return nil
}
