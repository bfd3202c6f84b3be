package clickhouse

import (
	"errors"
	"fmt"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Codes with which a server answers.
const (
	codeUnknownDatabase    = 81
	codeTimeout            = 159
	codeTooManyQueries     = 202
	codeSocketTimeout      = 209
	codeNetwork            = 210
	codeSameQueryIDRunning = 216
	codeAborted            = 236
	codeMemoryLimit        = 241
	codeTooManyParts       = 252
	codeQueryCancelled     = 394
)

// parseDSN reads clickhouse://, tcp://, http:// or https:// addresses; the
// scheme chooses the protocol.
func parseDSN(dsn string) (*driver.Options, error) {
	options, err := driver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the ClickHouse DSN: %w", err)
	}
	if len(options.Addr) == 0 || options.Auth.Database == "" {
		return nil, errors.New("read the ClickHouse DSN: expected clickhouse://user:password@host:port/database")
	}
	return options, nil
}

// refused reports whether the server answered and will answer the same again:
// waiting does not help. Everything else is worth another try.
func refused(err error) bool {
	var answer *driver.Exception
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case codeTimeout, codeTooManyQueries, codeSocketTimeout, codeNetwork, codeSameQueryIDRunning,
		codeAborted, codeMemoryLimit, codeTooManyParts, codeQueryCancelled:
		return false
	}
	return true
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
