package clickhouse

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// insertMax is how long one insert may take before its outcome counts as
// unknown; it is sent again then.
const insertMax = 2 * time.Minute

// inserter sends rows as one block of one insert. After an error the outcome is
// unknown. It is for one goroutine.
type inserter interface {
	insert(ctx context.Context, i insert) error
	close()
}

// insert is one insert: rows, and what makes it the same when it is sent again.
type insert struct {
	table    string
	input    proto.Input
	queryID  string
	settings []setting
}

type setting struct{ name, value string }

// newInserter speaks the protocol that the DSN chose.
func newInserter(options *driver.Options) inserter {
	if options.Protocol == driver.HTTP {
		return newHTTPInserter(options)
	}
	return &nativeInserter{options: options}
}

// insertSettings state everything that exactly-once depends on, so that no
// default of a server or a user matters.
func insertSettings(ctx context.Context, conn driver.Conn) ([]setting, error) {
	settings := []setting{
		{"async_insert", "0"},
		{"insert_deduplicate", "1"},
		{"deduplicate_blocks_in_dependent_materialized_views", "1"},
		{"materialized_views_ignore_errors", "0"},
		// Rows come at once. A server waits for those of a process that was stopped,
		// and whoever takes over waits for the server: about twice for this long,
		// to which it looks at each poll.
		{"receive_timeout", "1"}, // seconds
		{"poll_interval", "1"},
	}
	var known uint64
	err := conn.QueryRow(ctx, "SELECT count() FROM system.settings WHERE name = 'deduplicate_insert'").Scan(&known)
	if err != nil {
		return nil, fmt.Errorf("look up the server's settings: %w", err)
	}
	if known > 0 { // since 26.2
		settings = append(settings, setting{"deduplicate_insert", "enable"})
	}
	return settings, nil
}

// queryIDPrefix begins the id of every insert into a database.
func queryIDPrefix(database string) string { return "drawdown:" + database + ":" }

func newQueryID(database, table, token string) string {
	return queryIDPrefix(database) + table + ":" + token + ":" + rand.Text()
}

// nativeInserter speaks the native protocol.
type nativeInserter struct {
	options *driver.Options
	client  *ch.Client
	dials   int
}

func (n *nativeInserter) insert(ctx context.Context, i insert) error {
	ctx, cancel := context.WithTimeout(ctx, insertMax)
	defer cancel()
	if err := n.dial(ctx); err != nil {
		return fmt.Errorf("connect to ClickHouse: %w", err)
	}
	query := ch.Query{
		Body: "INSERT INTO " + quoteName(i.table) + " " + i.input.Columns() + " VALUES", QueryID: i.queryID, Input: i.input,
	}
	for _, s := range i.settings {
		query.Settings = append(query.Settings, ch.Setting{Key: s.name, Value: s.value, Important: true})
	}
	if err := n.client.Do(ctx, query); err != nil {
		n.close() // in the middle of an exchange it is of no further use
		if answer, ok := ch.AsException(err); ok {
			return &driver.Exception{Code: int32(answer.Code), Name: answer.Name, Message: answer.Message}
		}
		return err
	}
	return nil
}

// dial connects if there is no connection, to each address in turn.
func (n *nativeInserter) dial(ctx context.Context) error {
	if n.client != nil && !n.client.IsClosed() {
		return nil
	}
	o := n.options
	address := o.Addr[n.dials%len(o.Addr)]
	n.dials++
	compression := ch.CompressionDisabled
	if o.Compression != nil && o.Compression.Method == driver.CompressionLZ4 {
		compression = ch.CompressionLZ4
	}
	var err error
	n.client, err = ch.Dial(ctx, ch.Options{
		Address: address, Database: o.Auth.Database, User: o.Auth.Username, Password: o.Auth.Password,
		TLS: o.TLS, Compression: compression, ClientName: "drawdown",
		DialTimeout: o.DialTimeout, HandshakeTimeout: handshakeMax, ReadTimeout: readEvery,
	})
	return err
}

const (
	handshakeMax = 10 * time.Second
	// ch-go notices that its context ended when a read times out, and goes on
	// reading when it has not.
	readEvery = 200 * time.Millisecond
)

func (n *nativeInserter) close() {
	if n.client != nil {
		_ = n.client.Close() // nothing is owed to the server: a batch in doubt is sent again
		n.client = nil
	}
}
