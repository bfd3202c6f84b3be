// Package analytics reads what the projector keeps in ClickHouse: the ledger of
// an account, the story of one usage event, usage by any of its dimensions, and
// whether the tables agree with each other.
//
// It writes nothing. What it reads may be behind the ledger; ProjectedThrough
// says how far. Amounts are exact.
package analytics

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/drawdown-credits/drawdown/events"
)

// ErrNotFound reports that ClickHouse does not hold what was asked for, or not
// yet.
var ErrNotFound = errors.New("not found in ClickHouse")

// DB is a connection pool. Its methods may be called from several goroutines.
type DB struct{ conn driver.Conn }

// Open prepares reading the database that dsn names, over the protocol that its
// scheme chooses. It connects when it is first asked something. Close it.
func Open(dsn string) (*DB, error) {
	options, err := driver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the ClickHouse DSN: %w", err)
	}
	conn, err := driver.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	return &DB{conn: conn}, nil
}

// Close ends all connections.
func (db *DB) Close() error { return db.conn.Close() }

// Ping reports whether ClickHouse answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.conn.Ping(ctx); err != nil {
		return fmt.Errorf("reach ClickHouse: %w", err)
	}
	return nil
}

// ProjectedThrough is the LEDGER sequence up to which ClickHouse holds every
// message; 0 when it holds none.
func (db *DB) ProjectedThrough(ctx context.Context) (uint64, error) {
	var through uint64
	if err := db.conn.QueryRow(ctx, "SELECT max(batch_last) FROM ledger").Scan(&through); err != nil {
		return 0, fmt.Errorf("read how far ClickHouse is: %w", err)
	}
	return through, nil
}

// Posting is one step of an account, as the ledger's fold made it.
type Posting struct {
	Account string `json:"account"`
	// Number counts the account's postings: 1, 2, 3…
	Number     uint64    `json:"number"`
	Kind       string    `json:"kind"`
	At         time.Time `json:"at"`          // when it took effect
	RecordedAt time.Time `json:"recorded_at"` // when the ledger recorded its entry
	// Sequence is the LEDGER sequence of its entry, Index the entry's place in
	// the message.
	Sequence uint64 `json:"sequence"`
	Index    uint32 `json:"index,omitzero"`
	Grant    string `json:"grant,omitzero"`
	Hold     string `json:"hold,omitzero"`
	// Refused is the code of a refused command, which changed nothing.
	Refused string `json:"refused,omitzero"`
	// Reason is why a usage event was corrected.
	Reason string `json:"reason,omitzero"`

	// Deltas; those of a correction may be negative.
	Granted  events.Credits `json:"granted,omitzero"`
	Drawn    events.Credits `json:"drawn,omitzero"`
	Expired  events.Credits `json:"expired,omitzero"`
	Voided   events.Credits `json:"voided,omitzero"`
	Charged  events.Credits `json:"charged,omitzero"`
	Forgiven events.Credits `json:"forgiven,omitzero"`

	// Draws say from which grants Drawn came, in order.
	Draws []Draw `json:"draws,omitempty"`
	// Event is the usage event of a debit or a correction. Of a correction that makes
	// it void, it says neither what it was nor how it was rated.
	Event *Event `json:"event,omitzero"`
	// Balance is the account's after this posting.
	Balance Standing `json:"balance"`
}

// Draw is what one grant gave to a debit.
type Draw struct {
	Grant  string         `json:"grant"`
	Amount events.Credits `json:"amount"`
	Left   events.Credits `json:"left"` // of the grant, afterwards
}

// Event is the usage event of a debit, and how it was rated.
type Event struct {
	Source        string    `json:"source"`
	ID            string    `json:"id"`
	Time          time.Time `json:"time"`
	Operation     string    `json:"operation"`
	Project       string    `json:"project,omitzero"`
	Key           string    `json:"key,omitzero"`
	UsageSequence uint64    `json:"usage_sequence"`
	UsageIndex    uint32    `json:"usage_index,omitzero"`
	Card          string    `json:"card"`
	Version       uint32    `json:"version"`
	Rule          string    `json:"rule"`
	// Arithmetic is how the charge came about, as a person would write it.
	Arithmetic string `json:"arithmetic"`
}

// Standing is an account's balance at one posting.
type Standing struct {
	Available events.Credits `json:"available"`
	Held      events.Credits `json:"held"`
	Overage   events.Credits `json:"overage"`
	Remaining events.Credits `json:"remaining"`
}
