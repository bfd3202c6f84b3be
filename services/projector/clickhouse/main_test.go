package clickhouse

import (
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }
