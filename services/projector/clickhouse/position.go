package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// ErrDiverged reports that ClickHouse holds something else than the stream
// gives. The error says what. Nothing that the projection does repairs it:
// either the stream lost its tail, or the database belongs to another
// installation.
var ErrDiverged = errors.New("ClickHouse and the stream differ")

func diverged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDiverged, fmt.Sprintf(format, args...))
}

// held is the newest batch that a table holds; the zero value is none.
type held struct {
	span
	rows       int
	recordedAt time.Time // of the newest row
	sequence   uint64    // of the newest row
}

// position is what ClickHouse holds, by its own account.
type position struct{ ledger, usage held }

// readPosition asks ClickHouse for the newest batch of each table.
func readPosition(ctx context.Context, conn driver.Conn) (position, error) {
	var p position
	var err error
	if p.ledger, err = newestBatch(ctx, conn, "ledger"); err != nil {
		return p, err
	}
	p.usage, err = newestBatch(ctx, conn, "usage_events")
	return p, err
}

// newestBatch reads the newest batch of a table and checks that it is whole.
func newestBatch(ctx context.Context, conn driver.Conn, table string) (held, error) {
	rows, err := conn.Query(ctx, `SELECT batch_first, batch_last, any(batch_rows), count(), max(ledger_seq), argMax(recorded_at, ledger_seq)
		FROM `+table+` WHERE ledger_seq >= (SELECT argMax(batch_first, ledger_seq) FROM `+table+`)
		GROUP BY batch_first, batch_last ORDER BY batch_first`)
	if err != nil {
		return held{}, fmt.Errorf("read the newest batch of table %s: %w", table, err)
	}
	defer rows.Close()
	var found []held
	for rows.Next() {
		var h held
		var want uint32
		var count uint64
		if err := rows.Scan(&h.first, &h.last, &want, &count, &h.sequence, &h.recordedAt); err != nil {
			return held{}, fmt.Errorf("read the newest batch of table %s: %w", table, err)
		}
		if h.rows = int(want); uint64(want) != count {
			return held{}, diverged("batch %s has %d rows in table %s, and was sent with %d", h.span, count, table, want)
		}
		found = append(found, h)
	}
	if err := rows.Err(); err != nil {
		return held{}, fmt.Errorf("read the newest batch of table %s: %w", table, err)
	}
	switch len(found) {
	case 0:
		return held{}, nil
	case 1:
		return found[0], nil
	}
	return held{}, diverged("table %s holds batches that overlap, %s and %s: two projectors have written", table, found[0].span, found[1].span)
}

// promises are the ranges to be sent as they were before: the newest of ledger,
// because its materialized views may be behind, and one that only usage_events
// has, because the crash came between the two inserts.
func (p position) promises() ([]promise, error) {
	var promises []promise
	if p.ledger.last > 0 {
		promises = append(promises, promise{span: p.ledger.span, ledgerRows: p.ledger.rows, usageRows: -1})
	}
	switch {
	case p.usage.last < p.ledger.first: // its newest batch had no usage events, or there is none
	case p.usage.span == p.ledger.span:
		if p.usage.last > 0 {
			promises[0].usageRows = p.usage.rows
		}
	case p.usage.first == p.ledger.last+1:
		promises = append(promises, promise{span: p.usage.span, ledgerRows: -1, usageRows: p.usage.rows})
	default:
		return nil, diverged("the newest batch of table usage_events is %s, which does not follow %s of table ledger", p.usage.span, p.ledger.span)
	}
	return promises, nil
}

// next is the first sequence that is sent.
func (p position) next() uint64 {
	if p.ledger.last > 0 {
		return p.ledger.first
	}
	return 1
}

// verify checks that the stream holds the messages that the tables end with.
func (p position) verify(ctx context.Context, s jetstream.Stream) error {
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", events.StreamLedger, err)
	}
	if first := info.State.FirstSeq; first > 1 {
		return diverged("stream %s begins at %d; expected 1", events.StreamLedger, first)
	}
	if last := max(p.ledger.last, p.usage.last); last > info.State.LastSeq {
		return diverged("ClickHouse holds message %d, and stream %s ends at %d", last, events.StreamLedger, info.State.LastSeq)
	}
	for i, h := range []held{p.ledger, p.usage} {
		table := []string{"ledger", "usage_events"}[i]
		if h.last == 0 {
			continue
		}
		m, err := s.GetMsg(ctx, h.sequence)
		if err != nil {
			return fmt.Errorf("read message %d of stream %s: %w", h.sequence, events.StreamLedger, err)
		}
		if stored := m.Time.UTC().Truncate(time.Microsecond); !stored.Equal(h.recordedAt) {
			return diverged("message %d was recorded at %s in table %s, and at %s in stream %s", h.sequence,
				h.recordedAt.Format(time.RFC3339Nano), table, stored.Format(time.RFC3339Nano), events.StreamLedger)
		}
	}
	return nil
}

// awaitInserts waits until no insert of a projector before this one is running:
// a server finishes what it has received, also when its sender is gone, and
// what it finishes after the position was read would be sent again otherwise.
func awaitInserts(ctx context.Context, conn driver.Conn, database string) error {
	for {
		var running uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE startsWith(query_id, ?)", queryIDPrefix(database)).Scan(&running)
		if err != nil {
			return fmt.Errorf("look for inserts that are still running: %w", err)
		}
		if running == 0 {
			return nil
		}
		if pause.For(ctx, insertPoll) != nil {
			return context.Cause(ctx)
		}
	}
}

const insertPoll = 50 * time.Millisecond
