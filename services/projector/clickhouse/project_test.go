package clickhouse

import (
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestTablesAndRollupsHoldWhatTheStreamHolds(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	for protocol, dsn := range map[string]string{
		"native": e.NativeDSN(enginetest.NewDatabase(t, e)),
		"http":   e.HTTPDSN(enginetest.NewDatabase(t, e)),
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.write(400)
			w.project(dsn, 300)
			w.check(dsn)
		})
	}
}
