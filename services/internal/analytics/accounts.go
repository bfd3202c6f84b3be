package analytics

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
)

// Account is one account's totals, summed from its postings, and its balance
// after the last of them.
type Account struct {
	Granted, Drawn, Expired, Voided, Charged, Forgiven events.Credits
	Available, Held, Overage, Remaining                events.Credits
}

// Accounts sums table ledger by account, from postings up to LEDGER sequence
// through. The fold refuses what would overflow a total of an account, so the
// sums fit.
func (db *DB) Accounts(ctx context.Context, through uint64) (map[string]Account, error) {
	rows, err := db.conn.Query(ctx, `SELECT account, sum(granted_uc), sum(drawn_uc), sum(expired_uc), sum(voided_uc), sum(charged_uc),
		sum(forgiven_uc), argMax(available_uc, account_seq), argMax(held_uc, account_seq), argMax(overage_uc, account_seq), argMax(remaining_uc, account_seq)
		FROM ledger WHERE ledger_seq <= $1 AND account_seq > 0 GROUP BY account`, through)
	if err != nil {
		return nil, fmt.Errorf("sum table ledger by account: %w", err)
	}
	defer rows.Close()
	accounts := map[string]Account{}
	for rows.Next() {
		var name string
		var a Account
		fields := []any{&name}
		for _, to := range []*events.Credits{&a.Granted, &a.Drawn, &a.Expired, &a.Voided, &a.Charged, &a.Forgiven, &a.Available, &a.Held, &a.Overage, &a.Remaining} {
			fields = append(fields, (*int64)(to))
		}
		if err := rows.Scan(fields...); err != nil {
			return nil, fmt.Errorf("read an account's totals: %w", err)
		}
		accounts[name] = a
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sum table ledger by account: %w", err)
	}
	return accounts, nil
}
