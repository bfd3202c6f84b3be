package clickhouse

import (
	"context"
	"fmt"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

func scan(t testing.TB, conn driver.Conn, query string, to ...any) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), query).Scan(to...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func exec(t testing.TB, conn driver.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func each(t testing.TB, conn driver.Conn, query string, to []any, do func()) {
	t.Helper()
	rows, err := conn.Query(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		do()
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func readTotals(t testing.TB, conn driver.Conn, query string) totals {
	t.Helper()
	out := totals{}
	var key string
	var s sum
	each(t, conn, query, []any{&key, &s.Calls, &s.ChargedUC}, func() { out[key] = s })
	return out
}

func readTexts(t testing.TB, conn driver.Conn, query string) map[string]string {
	t.Helper()
	out := map[string]string{}
	var key, text string
	each(t, conn, query, []any{&key, &text}, func() { out[key] += text })
	return out
}

// reconcile returns what the view finds, as "check: subject: expected, found".
func reconcile(t testing.TB, conn driver.Conn) []string {
	t.Helper()
	var out []string
	var check, subject, expected, found string
	each(t, conn, "SELECT * FROM reconciliation", []any{&check, &subject, &expected, &found}, func() {
		out = append(out, fmt.Sprintf("%s: %s: %s, %s", check, subject, expected, found))
	})
	return out
}
