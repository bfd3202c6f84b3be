package engine_test

import (
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestBothProtocolsServe(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	for protocol, dsn := range map[string]func(string) string{"native": e.NativeDSN, "http": e.HTTPDSN} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			conn := open(t, dsn(enginetest.NewDatabase(t, e)))
			if version := scalar(t, conn, "SELECT version()"); !strings.HasPrefix(version, "26.") {
				t.Errorf("version %s, want 26.x, which the schema is written for", version)
			}
			mustExec(t, conn, "CREATE TABLE entries (seq UInt64, account String) ENGINE = MergeTree ORDER BY seq")
			batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO entries")
			if err != nil {
				t.Fatal(err)
			}
			for seq := range uint64(1000) {
				if err := batch.Append(seq, "acme"); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			if sum := scalar(t, conn, "SELECT sum(seq) FROM entries WHERE account = 'acme'"); sum != "499500" {
				t.Errorf("read back a sum of %s, want 499500", sum)
			}
		})
	}
}

func TestServicesMayDoWhatMigrationsNeed(t *testing.T) {
	t.Parallel()
	conn := open(t, enginetest.Database(t))
	mustExec(t, conn,
		"CREATE TABLE ledger (seq UInt64, amount Int64) ENGINE = MergeTree ORDER BY seq SETTINGS non_replicated_deduplication_window = 100",
		"CREATE TABLE balances (seq UInt64, amount Int64) ENGINE = ReplacingMergeTree(seq) ORDER BY amount",
		"CREATE TABLE totals (day UInt8, amount Int64) ENGINE = SummingMergeTree ORDER BY day",
		"CREATE MATERIALIZED VIEW to_totals TO totals AS SELECT 1::UInt8 AS day, sum(amount) AS amount FROM ledger GROUP BY day",
		"CREATE MATERIALIZED VIEW to_balances REFRESH EVERY 1 HOUR APPEND TO balances AS SELECT seq, amount FROM ledger",
		"CREATE VIEW balance_at AS SELECT sum(amount) AS amount FROM ledger WHERE seq <= {seq:UInt64}",
		"INSERT INTO ledger SELECT number, 10 FROM numbers(5)",
		"SYSTEM REFRESH VIEW to_balances",
		"SYSTEM WAIT VIEW to_balances",
		"CREATE TABLE ledger_2 AS ledger",
		"EXCHANGE TABLES ledger AND ledger_2",
		"EXCHANGE TABLES ledger AND ledger_2",
		"ALTER TABLE ledger ADD COLUMN IF NOT EXISTS note String",
		"OPTIMIZE TABLE ledger FINAL",
		"DROP TABLE ledger_2 SYNC",
		"CREATE TEMPORARY TABLE scratch (n UInt8)",
	)
	for query, want := range map[string]string{
		"SELECT sum(amount) FROM totals":                                               "50",
		"SELECT sum(amount) FROM balances FINAL":                                       "10",
		"SELECT amount FROM balance_at(seq = 1)":                                       "20",
		"SELECT value FROM system.settings WHERE name = 'async_insert'":                "0",
		"SELECT count() > 0 FROM system.parts WHERE database = currentDatabase()":      "1",
		"SELECT value FROM system.server_settings WHERE name = 'background_pool_size'": "2",
	} {
		if got := scalar(t, conn, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestMemoryIsCapped(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t, engine.Config{MemoryBytes: 1 << 30})
	conn := open(t, e.NativeDSN(engine.Database))
	const query = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"
	if value := scalar(t, conn, query); value != "1073741824" {
		t.Errorf("server memory cap %s, want the configured 1073741824", value)
	}
}
