package analytics

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// reconcileTries is how often the tables are compared before a disagreement
// counts: while batches arrive, a rollup stands a moment behind the ledger.
const reconcileTries = 3

// Discrepancy is one disagreement between the tables.
type Discrepancy struct {
	Check    string `json:"check"`   // what was compared
	Subject  string `json:"subject"` // where: an account, a batch, a row of a rollup
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

// Reconcile compares the tables with each other and returns where they disagree;
// none when all is well. It reads everything.
func (db *DB) Reconcile(ctx context.Context) ([]Discrepancy, error) {
	var standing []Discrepancy
	for try := range reconcileTries {
		found, err := db.discrepancies(ctx)
		if err != nil {
			return nil, err
		}
		if try == 0 {
			standing = found
		}
		standing = slices.DeleteFunc(standing, func(d Discrepancy) bool {
			return !slices.ContainsFunc(found, func(again Discrepancy) bool { return again.Check == d.Check && again.Subject == d.Subject })
		})
		if len(standing) == 0 {
			return []Discrepancy{}, nil
		}
	}
	return standing, nil
}

// discrepanciesMax bounds how much of a great disagreement is told.
const discrepanciesMax = 1000

func (db *DB) discrepancies(ctx context.Context) ([]Discrepancy, error) {
	rows, err := db.conn.Query(ctx, fmt.Sprintf("SELECT * FROM reconciliation ORDER BY ALL LIMIT %d", discrepanciesMax))
	if err != nil {
		return nil, fmt.Errorf("reconcile ClickHouse: %w", err)
	}
	defer rows.Close()
	out := []Discrepancy{}
	for rows.Next() {
		var d Discrepancy
		if err := rows.Scan(&d.Check, &d.Subject, &d.Expected, &d.Found); err != nil {
			return nil, fmt.Errorf("reconcile ClickHouse: %w", err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reconcile ClickHouse: %w", err)
	}
	return out, nil
}

// Totals are the sums over all accounts, for comparison with the ledger itself.
type Totals struct {
	Through  uint64 `json:"through"` // LEDGER sequence they stand at
	Accounts uint64 `json:"accounts"`
	Postings uint64 `json:"postings"`
	Events   uint64 `json:"events"` // rows of usage_events

	Granted   events.Credits `json:"granted"`
	Remaining events.Credits `json:"remaining"`
	Drawn     events.Credits `json:"drawn"`
	Expired   events.Credits `json:"expired"`
	Voided    events.Credits `json:"voided"`
	Charged   events.Credits `json:"charged"`
	Overage   events.Credits `json:"overage"`
	Forgiven  events.Credits `json:"forgiven"`
	// UsageCharged is the sum of usage_events; equal to Charged when all is well.
	UsageCharged events.Credits `json:"usage_charged"`
}

// Totals sums the tables. A sum past what Credits hold is events.ErrOverflow.
func (db *DB) Totals(ctx context.Context) (Totals, error) {
	var t Totals
	var sums [9]big.Int
	err := db.conn.QueryRow(ctx, `SELECT max(batch_last), uniqExactIf(account, account_seq > 0), countIf(kind != 'none'),
		sum(toInt128(granted_uc)), sum(toInt128(drawn_uc)), sum(toInt128(expired_uc)), sum(toInt128(voided_uc)),
		sum(toInt128(charged_uc)), sum(toInt128(forgiven_uc)) FROM ledger`).Scan(
		&t.Through, &t.Accounts, &t.Postings, &sums[0], &sums[1], &sums[2], &sums[3], &sums[4], &sums[5])
	if err != nil {
		return t, fmt.Errorf("sum table ledger: %w", err)
	}
	err = db.conn.QueryRow(ctx, "SELECT sum(toInt128(remaining_uc)), sum(toInt128(overage_uc)) FROM balances FINAL").Scan(&sums[6], &sums[7])
	if err != nil {
		return t, fmt.Errorf("sum table balances: %w", err)
	}
	err = db.conn.QueryRow(ctx, "SELECT count(), sum(toInt128(amount_uc)) FROM usage_events").Scan(&t.Events, &sums[8])
	if err != nil {
		return t, fmt.Errorf("sum table usage_events: %w", err)
	}
	for i, to := range []*events.Credits{
		&t.Granted, &t.Drawn, &t.Expired, &t.Voided, &t.Charged, &t.Forgiven, &t.Remaining, &t.Overage, &t.UsageCharged,
	} {
		if !sums[i].IsInt64() {
			return t, fmt.Errorf("sum the tables: %w", events.ErrOverflow)
		}
		*to = events.Credits(sums[i].Int64())
	}
	return t, nil
}
