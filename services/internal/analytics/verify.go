package analytics

import (
	"context"
	"fmt"
	"slices"
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
