package clickhouse

import (
	"errors"
	"fmt"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

func TestOnlyWhatWaitingCannotMendIsFinal(t *testing.T) {
	answer := func(code int32) error {
		return fmt.Errorf("insert: %w", &driver.Exception{Code: code})
	}
	tests := map[string]struct {
		err   error
		final bool
	}{
		"a wrong password is final":           {answer(516), true},
		"a missing right is final":            {answer(497), true},
		"a syntax error is final":             {answer(62), true},
		"a column that is not there is final": {answer(16), true},
		"a full disk passes":                  {answer(243), false},
		"a memory limit passes":               {answer(241), false},
		"a table that is read only passes":    {answer(242), false},
		"too many parts pass":                 {answer(252), false},
		"a code nobody has heard of passes":   {answer(99999), false},
		"a connection that ends passes":       {errors.New("EOF"), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := refused(tt.err); got != tt.final {
				t.Errorf("refused(%v) = %t; want %t", tt.err, got, tt.final)
			}
		})
	}
}
