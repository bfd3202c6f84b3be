package enginetest_test

import (
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestEachDatabaseIsFreshAndGoesWithItsTest(t *testing.T) {
	t.Parallel()
	for range 2 {
		t.Run("same name", func(t *testing.T) {
			first, second := enginetest.Database(t), enginetest.Database(t)
			if first == second {
				t.Fatal("two databases share one DSN")
			}
			for _, dsn := range []string{first, second} {
				query(t, dsn, "CREATE TABLE entries (n UInt8) ENGINE = MergeTree ORDER BY n")
			}
		})
	}
	t.Run("the name is kept to what a database may be called", func(t *testing.T) {
		query(t, enginetest.Database(t), "SELECT 1")
	})
	const left = "SELECT throwIf(count() > 0, 'a database is left') FROM system.databases WHERE name LIKE 'drawdown_test_%_TestEachDatabase%'"
	query(t, enginetest.Engine(t).NativeDSN(engine.Database), left)
}

func query(t *testing.T, dsn, statement string) {
	t.Helper()
	if err := enginetest.Connect(t, dsn).Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
