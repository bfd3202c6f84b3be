package clickhouse

import (
	"context"
	"errors"
	"fmt"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"github.com/drawdown-credits/drawdown/schemas"
)

// Migrate brings the database that dsn names up to the schema of this version,
// and creates it when it is missing. Running it again changes nothing. It has
// no lock: run it from one process.
func Migrate(ctx context.Context, dsn string) error {
	options, err := parseDSN(dsn)
	if err != nil {
		return err
	}
	return migrate(ctx, options)
}

func migrate(ctx context.Context, options *driver.Options) error {
	if err := ensureDatabase(ctx, options); err != nil {
		return err
	}
	if err := probeRights(ctx, options); err != nil {
		return fmt.Errorf("migrate ClickHouse database %s: %w", options.Auth.Database, err)
	}
	db := driver.OpenDB(options)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectClickHouse, db, schemas.ClickHouse)
	if err != nil {
		return fmt.Errorf("read the ClickHouse migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate ClickHouse database %s: %w", options.Auth.Database, err)
	}
	return nil
}

// ensureDatabase creates the database if the server says that it is unknown.
func ensureDatabase(ctx context.Context, options *driver.Options) error {
	name := options.Auth.Database
	err := execute(ctx, options, "SELECT 1")
	var refusal *driver.Exception
	if errors.As(err, &refusal) && refusal.Code == codeUnknownDatabase {
		without := *options
		without.Auth.Database = "" // a session cannot stand in a database that is missing
		err = execute(ctx, &without, "CREATE DATABASE IF NOT EXISTS "+quoteName(name))
	}
	if err != nil {
		return fmt.Errorf("open ClickHouse database %s: %w", name, err)
	}
	return nil
}

// probeRights creates and drops a view. The migrations need no other right, and
// goose hides a server's refusal behind the connection that it closed.
func probeRights(ctx context.Context, options *driver.Options) error {
	if err := execute(ctx, options, "CREATE VIEW IF NOT EXISTS migration_probe AS SELECT 1"); err != nil {
		return err
	}
	return execute(ctx, options, "DROP VIEW IF EXISTS migration_probe")
}

func execute(ctx context.Context, options *driver.Options, statement string) error {
	conn, err := driver.Open(options)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Exec(ctx, statement)
}
