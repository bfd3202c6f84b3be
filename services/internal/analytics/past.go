package analytics

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Span is a part of all usage: what happened since a time, to one account or to
// all, as far as the ledger says through a sequence.
type Span struct {
	Account string // empty: all
	Since   time.Time
	Through uint64
}

func (s Span) where() (string, []any) {
	where, args := "WHERE time >= fromUnixTimestamp64Micro(?) AND ledger_seq <= ?", []any{s.Since.UnixMicro(), s.Through}
	if s.Account != "" {
		where, args = where+" AND account = ?", append(args, s.Account)
	}
	return where, args
}

// CountEvents counts the usage events of a span.
func (db *DB) CountEvents(ctx context.Context, s Span) (uint64, error) {
	where, args := s.where()
	var n uint64
	if err := db.conn.QueryRow(ctx, "SELECT count() FROM usage_events "+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count usage events: %w", err)
	}
	return n, nil
}

// PastEvent is a usage event of the past.
type PastEvent struct {
	events.Usage
	Charged events.Credits // by its debit
	// Sequence and Index are where that stands in the ledger.
	Sequence uint64
	Index    int
}

// Events calls visit with the usage events of a span and what each cost: account
// by account, each in the order of its events' own time. It ends early with the
// error of visit.
func (db *DB) Events(ctx context.Context, s Span, visit func(PastEvent) error) error {
	where, args := s.where()
	rows, err := db.conn.Query(ctx, `SELECT source, id, account, time, operation, status, project, key,
		arrayStringConcat(mapKeys(quantities), '\0'), arrayStringConcat(arrayMap(q -> toString(q), mapValues(quantities)), '\0'),
		arrayStringConcat(mapKeys(attributes), '\0'), arrayStringConcat(mapValues(attributes), '\0'), amount_uc, ledger_seq, entry_index
		FROM usage_events `+where+" ORDER BY account, time, ledger_seq, entry_index", args...)
	if err != nil {
		return fmt.Errorf("read usage events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var u PastEvent
		var status uint16
		var amount int64
		var index uint32
		// Lists with a zero byte between elements, which no event has: arrays take
		// three times as long.
		var names, values, keys, texts string
		err := rows.Scan(&u.Source, &u.ID, &u.Account, &u.Time, &u.Data.Operation, &status, &u.Data.Project, &u.Data.Key,
			&names, &values, &keys, &texts, &amount, &u.Sequence, &index)
		if err != nil {
			return fmt.Errorf("read usage events: %w", err)
		}
		u.Data.Status, u.Charged, u.Index = int(status), events.Credits(amount), int(index)
		if u.Data.Quantities, err = quantities(names, values); err != nil {
			return fmt.Errorf("read usage event %s of %s: %w", u.ID, u.Source, err)
		}
		u.Data.Attributes = pairs(keys, texts)
		if err := visit(u); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read usage events: %w", err)
	}
	return nil
}

// pairs returns the elements of a list of values by those of a list of names.
// Lists have a zero byte between elements.
func pairs(names, values string) map[string]string {
	if names == "" {
		return nil
	}
	all := make(map[string]string, 1+strings.Count(names, "\x00"))
	for more := true; more; {
		var name, value string
		name, names, more = strings.Cut(names, "\x00")
		value, values, _ = strings.Cut(values, "\x00")
		all[name] = value
	}
	return all
}

// quantities does as pairs, for values that are quantities.
func quantities(names, values string) (map[string]events.Quantity, error) {
	if names == "" {
		return nil, nil
	}
	all := make(map[string]events.Quantity, 1+strings.Count(names, "\x00"))
	for more := true; more; {
		var name, value string
		name, names, more = strings.Cut(names, "\x00")
		value, values, _ = strings.Cut(values, "\x00")
		q, err := events.ParseQuantity(value)
		if err != nil {
			return nil, err
		}
		all[name] = q
	}
	return all, nil
}
