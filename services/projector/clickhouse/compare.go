package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/drawdown-credits/drawdown/events"
)

// differencesMax bounds how much is told of each table.
const differencesMax = 100

// compare compares live tables and shadow, as far as both hold LEDGER. It fails
// only when the shadow is not sound.
func (r *rebuild) compare(ctx context.Context) error {
	ledger, signals, err := r.live.last(ctx)
	if err != nil {
		return err
	}
	through, _ := r.filler.status.progress(events.StreamLedger)
	signalled, _ := r.filler.status.progress(events.StreamSignals)
	r.report.Through = min(ledger, through)
	r.progress(Progress{Stage: StageCompare, Done: r.report.Through, Total: r.report.Through})
	for _, c := range []struct {
		table, from, sequence, amount string
		through                       uint64
	}{
		{"ledger", "ledger", "ledger_seq", "charged_uc", r.report.Through},
		{"usage_events", "usage_events", "ledger_seq", "amount_uc", r.report.Through},
		{"signals", "signals FINAL", "stream_seq", "available_uc", min(signals, signalled)},
	} {
		query := fmt.Sprintf(compareQuery, c.amount, r.live.database(), c.from, c.sequence, c.amount, r.shadow.database(), c.from, c.sequence, differencesMax)
		if err := r.differ(ctx, c.table, query, c.through, c.through); err != nil {
			return err
		}
	}
	if ledger > through {
		r.report.Differences = append(r.report.Differences, Difference{
			Table: "ledger", Subject: "the end", Live: fmt.Sprintf("message %d", ledger), Rebuilt: fmt.Sprintf("message %d", through),
		})
	}
	return r.reconcile(ctx)
}

// compareQuery gives the accounts of which two tables hold different rows, in
// whatever ranges they were inserted.
const compareQuery = `SELECT account, anyIf(rows, side = 1), anyIf(rows, side = 2) FROM (
	SELECT account, 1 AS side, concat(toString(count()), ' rows, ', toString(sum(toInt128(%s))), ' uc, ', hex(sum(cityHash64(tuple(* EXCEPT '^batch_'))))) AS rows
	FROM %s.%s WHERE %s <= ? GROUP BY account
	UNION ALL
	SELECT account, 2, concat(toString(count()), ' rows, ', toString(sum(toInt128(%s))), ' uc, ', hex(sum(cityHash64(tuple(* EXCEPT '^batch_'))))) AS rows
	FROM %s.%s WHERE %s <= ? GROUP BY account
) GROUP BY account HAVING uniqExact(rows) > 1 OR count() != 2 ORDER BY account LIMIT %d`

func (r *rebuild) differ(ctx context.Context, table, query string, arguments ...any) error {
	rows, err := r.live.conn.Query(ctx, query, arguments...)
	var answer *driver.Exception
	if errors.As(err, &answer) { // such as a table that is gone
		r.report.Differences = append(r.report.Differences, Difference{Table: table, Subject: "the whole table", Live: answer.Message})
		return nil
	}
	if err != nil {
		return fmt.Errorf("compare table %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		d := Difference{Table: table}
		if err := rows.Scan(&d.Subject, &d.Live, &d.Rebuilt); err != nil {
			return fmt.Errorf("compare table %s: %w", table, err)
		}
		r.report.Differences = append(r.report.Differences, d)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("compare table %s: %w", table, err)
	}
	return nil
}

// reconcile compares the tables of each database with each other, which says of
// the sums what no range of messages can.
func (r *rebuild) reconcile(ctx context.Context) error {
	rebuilt, err := r.shadow.reconcile(ctx)
	if err != nil {
		return err
	}
	if len(rebuilt) > 0 {
		return diverged("the rebuilt tables disagree with each other, such as %s of %s: expected %s, found %s",
			rebuilt[0].Table, rebuilt[0].Subject, rebuilt[0].Rebuilt, rebuilt[0].Live)
	}
	live, err := r.live.reconcile(ctx)
	if err != nil {
		live = []Difference{{Table: "reconciliation", Subject: "the whole view", Live: err.Error()}}
	}
	r.report.Differences = append(r.report.Differences, live...)
	return nil
}

// reconcileTries is how often the tables are compared before a disagreement
// counts: while batches arrive, sums stand a moment behind the ledger.
const reconcileTries = 3

// reconcile returns where the tables disagree with each other. That a partition
// has stopped is no disagreement here.
func (s *server) reconcile(ctx context.Context) ([]Difference, error) {
	var standing []Difference
	for try := range reconcileTries {
		found, err := s.disagreements(ctx)
		if err != nil {
			return nil, err
		}
		if try == 0 {
			standing = found
		}
		standing = slices.DeleteFunc(standing, func(d Difference) bool {
			return !slices.ContainsFunc(found, func(again Difference) bool { return again.Table == d.Table && again.Subject == d.Subject })
		})
		if len(standing) == 0 {
			break
		}
	}
	return standing, nil
}

func (s *server) disagreements(ctx context.Context) ([]Difference, error) {
	rows, err := s.conn.Query(ctx, fmt.Sprintf("SELECT * FROM reconciliation WHERE check != 'stopped partition' ORDER BY ALL LIMIT %d", differencesMax))
	if err != nil {
		return nil, fmt.Errorf("reconcile database %s: %w", s.database(), err)
	}
	defer rows.Close()
	var out []Difference
	for rows.Next() {
		var d Difference
		if err := rows.Scan(&d.Table, &d.Subject, &d.Rebuilt, &d.Live); err != nil {
			return nil, fmt.Errorf("reconcile database %s: %w", s.database(), err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reconcile database %s: %w", s.database(), err)
	}
	return out, nil
}
