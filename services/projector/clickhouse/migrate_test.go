package clickhouse

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestMigratingAnEmptyDatabaseTwiceGivesTheSchemaOnce(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	for range 2 {
		if err := Migrate(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	}
	conn := enginetest.Connect(t, dsn)
	var names []string
	rows, err := conn.Query(t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE '%\\_mv'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	want := "balance_at balances burn_rate forecast goose_db_version installation ledger reconciliation signals stopped_partitions top_operations" +
		" usage_by_day usage_by_hour usage_by_minute usage_changes usage_events"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("tables\n%s, want\n%s", got, want)
	}
}

func TestEveryTableThatReceivesRowsRemembersTokens(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	var without []string
	row := enginetest.Connect(t, dsn).QueryRow(t.Context(), `SELECT groupArray(name) FROM system.tables
		WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'goose_db_version'
		AND create_table_query NOT LIKE '%non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1%'`)
	if err := row.Scan(&without); err != nil || len(without) > 0 {
		t.Errorf("tables without a window or fsync: %v, %v", without, err)
	}
}

func TestMigratingCreatesAMissingDatabase(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	name := engine.Database + "_created"
	if err := Migrate(t.Context(), e.HTTPDSN(name)); err != nil {
		t.Fatal(err)
	}
	if err := enginetest.Connect(t, e.NativeDSN(name)).Exec(context.Background(), "DROP DATABASE "+name); err != nil {
		t.Error(err)
	}
}

func TestAMigrationThatTheServerRefusesSaysWhy(t *testing.T) {
	t.Parallel()
	err := Migrate(t.Context(), enginetest.Engine(t).AnalystNativeDSN())
	if err == nil || !refused(err) || !strings.Contains(err.Error(), "migrate ClickHouse database drawdown") {
		t.Errorf("error %v, want the database and the server's answer", err)
	}
}
