package analytics

import (
	"context"
	"fmt"
	"time"
)

// CardUse is how far a rate card was used.
type CardUse struct {
	Events uint64
	First  time.Time // the earliest of their times; zero when there are none
}

// CardUsed counts the events that some version of a rate card was charged for,
// those that were corrected since included: of what happened from a time on, until
// before another unless that is zero, as far as the ledger says through a sequence.
func (db *DB) CardUsed(ctx context.Context, card string, from, until time.Time, through uint64) (CardUse, error) {
	query := `SELECT count(), min(event_time) FROM ledger WHERE kind = 'debit' AND refused = '' AND card = ?
		AND event_time >= fromUnixTimestamp64Micro(?) AND ledger_seq <= ?`
	args := []any{card, from.UnixMicro(), through}
	if !until.IsZero() {
		query, args = query+" AND event_time < fromUnixTimestamp64Micro(?)", append(args, until.UnixMicro())
	}
	var use CardUse
	if err := db.conn.QueryRow(ctx, query, args...).Scan(&use.Events, &use.First); err != nil {
		return CardUse{}, fmt.Errorf("count what rate card %s was used for: %w", card, err)
	}
	if use.Events == 0 {
		use.First = time.Time{}
	}
	return use, nil
}
