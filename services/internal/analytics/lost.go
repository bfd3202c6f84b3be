package analytics

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Lost is what ClickHouse remembers of a ledger that lost its end.
type Lost struct {
	// Through is the last sequence at which the ledger holds the message that
	// ClickHouse does.
	Through uint64 `json:"through"`
	// Commands are those behind it that had an effect, in their order. Nobody else
	// has them any more.
	Commands []Posting `json:"commands"`
	// Debits counts the charges behind it. Their usage events are rated again if
	// USAGE still holds them.
	Debits uint64 `json:"debits"`
}

// commands are the kinds of entries that somebody gave.
var commands = []events.EntryKind{
	events.EntryGrant, events.EntryVoid, events.EntryHold, events.EntryCapture, events.EntryRelease, events.EntryAdjust,
	events.EntryCorrection, events.EntryDecline, events.EntryAccount, events.EntryPlan, events.EntryRateCard,
}

// commandsMax bounds how many lost commands are told.
const commandsMax = 10_000

// LostBehind compares ClickHouse, as far as it is now, with the ledger: storedAt
// returns when the ledger stored the message at a sequence, the zero time when
// it has none. It returns what ClickHouse has and the ledger has not, nil when
// that is nothing.
func (db *DB) LostBehind(ctx context.Context, storedAt func(sequence uint64) (time.Time, error)) (*Lost, error) {
	newest, err := db.ProjectedThrough(ctx)
	if err != nil {
		return nil, err
	}
	// Both agree up to some sequence and nowhere behind it.
	var failed error
	common := sort.Search(int(newest), func(i int) bool {
		same, err := db.agrees(ctx, uint64(i)+1, storedAt)
		if err != nil {
			failed = err
		}
		return !same
	})
	if failed != nil {
		return nil, failed
	}
	if uint64(common) == newest {
		return nil, nil
	}
	lost := &Lost{Through: uint64(common)}
	lost.Commands, err = db.postings(ctx, `WHERE ledger_seq > ? AND ledger_seq <= ? AND refused = '' AND kind IN ?
		ORDER BY ledger_seq, entry_index, posting LIMIT ?`, lost.Through, newest, commands, commandsMax)
	if err != nil {
		return nil, fmt.Errorf("read the commands behind ledger sequence %d: %w", lost.Through, err)
	}
	err = db.conn.QueryRow(ctx, "SELECT count() FROM ledger WHERE ledger_seq > ? AND ledger_seq <= ? AND kind = 'debit'", lost.Through, newest).Scan(&lost.Debits)
	if err != nil {
		return nil, fmt.Errorf("count the debits behind ledger sequence %d: %w", lost.Through, err)
	}
	return lost, nil
}

// agrees reports whether the ledger holds the message that ClickHouse has at a
// sequence.
func (db *DB) agrees(ctx context.Context, sequence uint64, storedAt func(uint64) (time.Time, error)) (bool, error) {
	var recorded time.Time
	if err := db.conn.QueryRow(ctx, "SELECT any(recorded_at) FROM ledger WHERE ledger_seq = ?", sequence).Scan(&recorded); err != nil {
		return false, fmt.Errorf("read when ClickHouse's ledger sequence %d was recorded: %w", sequence, err)
	}
	stored, err := storedAt(sequence)
	return stored.UTC().Truncate(time.Microsecond).Equal(recorded), err
}
