package analytics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// UsageMax bounds the rows of one breakdown.
const UsageMax = 10_000

// GroupBy says what usage is broken down by.
type GroupBy string

// What usage may be broken down by. By time, the calls' own.
const (
	ByNothing   GroupBy = ""
	ByHour      GroupBy = "hour"
	ByDay       GroupBy = "day"
	ByOperation GroupBy = "operation"
	ByProject   GroupBy = "project"
	ByKey       GroupBy = "key"
)

// ErrGroupBy reports a GroupBy that does not exist.
var ErrGroupBy = errors.New("usage cannot be broken down by this; expected hour, day, operation, project or key")

// UsageRow is one line of a breakdown.
type UsageRow struct {
	// Group is the hour or day, in RFC 3339, or the name broken down by; empty
	// for the total.
	Group   string         `json:"group,omitzero"`
	Calls   uint64         `json:"calls"`
	Charged events.Credits `json:"charged"`
}

// Usage sums what account's calls from from until before to are charged now, after
// all corrections, broken down by by: by time in its order, by name the dearest first, at most UsageMax rows. A
// zero from or to means no bound. An account without calls has no rows, but one
// with zeros in the total.
func (db *DB) Usage(ctx context.Context, account string, from, to time.Time, by GroupBy) ([]UsageRow, error) {
	group, order, err := by.columns()
	if err != nil {
		return nil, err
	}
	where, args := "account = ?", []any{account}
	if !from.IsZero() {
		where, args = where+" AND event_time >= fromUnixTimestamp64Micro(?)", append(args, from.UnixMicro())
	}
	if !to.IsZero() {
		where, args = where+" AND event_time < fromUnixTimestamp64Micro(?)", append(args, to.UnixMicro())
	}
	query := "SELECT " + group + ", toUInt64(sum(c.calls)) AS calls, toInt64(sum(toInt128(c.charged_uc))) AS charged FROM usage_changes AS c WHERE " + where
	if by != ByNothing {
		query += " GROUP BY name HAVING sum(c.calls) != 0 ORDER BY " + order + fmt.Sprintf(" LIMIT %d", UsageMax)
	}
	rows, err := db.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the usage of account %s: %w", account, err)
	}
	defer rows.Close()
	out := []UsageRow{}
	for rows.Next() {
		var r UsageRow
		var charged int64
		if err := rows.Scan(&r.Group, &r.Calls, &charged); err != nil {
			return nil, fmt.Errorf("read the usage of account %s: %w", account, err)
		}
		r.Charged = events.Credits(charged)
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the usage of account %s: %w", account, err)
	}
	return out, nil
}

// columns are the SQL of a group's name and of the rows' order.
func (g GroupBy) columns() (name, order string, err error) {
	switch g {
	case ByNothing:
		return "''", "", nil
	case ByHour:
		return "formatDateTime(dateTrunc('hour', event_time), '%Y-%m-%dT%H:00:00Z') AS name", "name", nil
	case ByDay:
		return "toString(toDate32(event_time)) AS name", "name", nil
	case ByOperation, ByProject, ByKey:
		return "toString(" + string(g) + ") AS name", "charged DESC, name", nil
	}
	return "", "", fmt.Errorf("group by %q: %w", string(g), ErrGroupBy)
}
