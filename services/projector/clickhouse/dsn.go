package clickhouse

import (
	"errors"
	"fmt"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Codes with which a server answers.
const (
	codeUnknownDatabase      = 81
	codeNoSuchColumn         = 16
	codeBadArguments         = 36
	codeIllegalColumn        = 44
	codeUnknownIdentifier    = 47
	codeNotImplemented       = 48
	codeUnknownType          = 50
	codeTypeMismatch         = 53
	codeUnknownEngine        = 56
	codeUnknownTable         = 60
	codeSyntaxError          = 62
	codeUnknownSetting       = 115
	codeUnknownUser          = 192
	codeAccessDenied         = 497
	codeAuthenticationFailed = 516
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
// waiting does not help, a person must change the schema, the rights or the
// server. Everything else passes, a full disk too, and is worth another try.
func refused(err error) bool {
	var answer *driver.Exception
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case codeNoSuchColumn, codeBadArguments, codeIllegalColumn, codeUnknownIdentifier, codeNotImplemented, codeUnknownType,
		codeTypeMismatch, codeUnknownEngine, codeUnknownTable, codeSyntaxError, codeUnknownSetting, codeUnknownUser,
		codeAccessDenied, codeAuthenticationFailed:
		return true
	}
	return false
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
