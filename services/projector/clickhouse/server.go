package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// server is a database of a ClickHouse server.
type server struct {
	options   *driver.Options
	conn      driver.Conn // nil before Open
	settings  []setting
	inserters map[Table]inserter
}

// NewStore returns the ClickHouse database that dsn names; its scheme chooses
// the protocol. It connects to nothing yet.
func NewStore(dsn string) (Store, error) { return newServer(dsn) }

func newServer(dsn string) (*server, error) {
	options, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return serverOf(options), nil
}

func serverOf(options *driver.Options) *server {
	s := &server{options: options, inserters: map[Table]inserter{}}
	for _, t := range []Table{TableUsage, TableLedger, TableSignals, TableStopped} {
		s.inserters[t] = newInserter(options)
	}
	return s
}

// beside is the database where a rebuild prepares what is to take this one's
// place.
func (s *server) beside() *server {
	options := *s.options
	options.Auth.Database += shadowSuffix
	return serverOf(&options)
}

func (s *server) database() string { return s.options.Auth.Database }

func (s *server) Open(ctx context.Context) (Owner, error) {
	if err := migrate(ctx, s.options); err != nil {
		return Owner{}, err
	}
	if err := s.connect(); err != nil {
		return Owner{}, err
	}
	var err error
	if s.settings, err = insertSettings(ctx, s.conn); err != nil {
		return Owner{}, err
	}
	if err := s.awaitInserts(ctx, s.database()); err != nil {
		return Owner{}, err
	}
	return s.owner(ctx)
}

func (s *server) connect() error {
	if s.conn != nil {
		return nil
	}
	conn, err := driver.Open(s.options)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	s.conn = conn
	return nil
}

func (s *server) owner(ctx context.Context) (Owner, error) {
	var o Owner
	var owners uint64
	// The oldest row counts: there is one, unless somebody wrote another.
	err := s.conn.QueryRow(ctx, `SELECT count(), argMin(toString(database_id), claimed_at), argMin(installation, claimed_at)
		FROM installation`).Scan(&owners, &o.Database, &o.Installation)
	if err != nil {
		return Owner{}, fmt.Errorf("read whose database %s is: %w", s.database(), err)
	}
	if owners == 0 {
		o = Owner{}
	}
	generations, err := s.generations(ctx, s.database())
	if err != nil {
		return Owner{}, err
	}
	o.Generation = generations[TableLedger]
	return o, nil
}

// Claim inserts the owner with a token that is always the same, so that of all
// claims one is taken.
func (s *server) Claim(ctx context.Context, installation string) (Owner, error) {
	claim := driver.Context(ctx, driver.WithSettings(driver.Settings{
		"insert_deduplication_token": "claim", "async_insert": 0, "insert_deduplicate": 1,
	}))
	err := s.conn.Exec(claim, `INSERT INTO installation (installation, database_id, claimed_at)
		SELECT ?, generateUUIDv4(), now64(6) WHERE (SELECT count() FROM installation) = 0`, installation)
	if err != nil {
		return Owner{}, fmt.Errorf("claim database %s: %w", s.database(), err)
	}
	return s.owner(ctx)
}

func (s *server) Insert(ctx context.Context, b Block) error {
	i := insert{
		table: string(b.Table), input: b.content.block(), queryID: newQueryID(s.database(), string(b.Table), b.Token),
		settings: append([]setting{{"insert_deduplication_token", b.Token}}, s.settings...),
	}
	i.input = append(i.input[:len(i.input):len(i.input)], generationColumn(b.Generation, b.Len()))
	return s.inserters[b.Table].insert(ctx, i)
}

func (s *server) Close() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is owed to the server
		s.conn = nil
	}
	for _, i := range s.inserters {
		i.close()
	}
}

func (s *server) Newest(ctx context.Context, table Table) (Held, error) {
	if table == TableSignals {
		return s.newestSignal(ctx)
	}
	found, err := s.newestBatches(ctx, table)
	if err != nil {
		return Held{}, fmt.Errorf("read the newest batch of table %s: %w", table, err)
	}
	if len(found) == 0 {
		return Held{}, nil
	}
	for i, h := range found[1:] { // more than one is what another writer has inserted while the query ran
		if before := found[i]; h.First != before.Last+1 {
			return Held{}, diverged("table %s holds batches that overlap, %s and %s", table, before.Span, h.Span)
		}
	}
	return found[len(found)-1], nil
}

// newestBatches reads the newest batch of a table, and any that overlaps it.
func (s *server) newestBatches(ctx context.Context, table Table) ([]Held, error) {
	rows, err := s.conn.Query(ctx, `SELECT batch_first, batch_last, any(batch_rows), count(), max(ledger_seq), argMax(recorded_at, ledger_seq)
		FROM `+string(table)+` WHERE ledger_seq >= (SELECT argMax(batch_first, ledger_seq) FROM `+string(table)+`)
		GROUP BY batch_first, batch_last ORDER BY batch_first`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Held
	for rows.Next() {
		var h Held
		var want uint32
		var count uint64
		if err := rows.Scan(&h.First, &h.Last, &want, &count, &h.Newest.Sequence, &h.Newest.StoredAt); err != nil {
			return nil, err
		}
		if h.Rows = int(want); uint64(want) != count {
			return nil, diverged("batch %s has %d rows in table %s, and was sent with %d", h.Span, count, table, want)
		}
		found = append(found, h)
	}
	return found, rows.Err()
}

func (s *server) newestSignal(ctx context.Context) (Held, error) {
	var h Held
	err := s.conn.QueryRow(ctx, "SELECT max(stream_seq), argMax(recorded_at, stream_seq) FROM signals").
		Scan(&h.Newest.Sequence, &h.Newest.StoredAt)
	if err != nil {
		return Held{}, fmt.Errorf("read the newest signal: %w", err)
	}
	if h.Newest.Sequence == 0 {
		return Held{}, nil
	}
	h.First, h.Last, h.Rows = h.Newest.Sequence, h.Newest.Sequence, 1
	return h, nil
}

// awaitInserts waits until no insert of a projection into a database of the
// server is running: a server
// finishes what it has received, also when its sender is gone.
func (s *server) awaitInserts(ctx context.Context, database string) error {
	for {
		var running uint64
		err := s.conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE startsWith(query_id, ?)", queryIDPrefix(database)).Scan(&running)
		if err != nil {
			return fmt.Errorf("look for inserts that are still running: %w", err)
		}
		if running == 0 {
			return nil
		}
		if pause.For(ctx, insertPoll) != nil {
			return context.Cause(ctx)
		}
	}
}

const insertPoll = 50 * time.Millisecond

// generationPrefix begins the name of a column that has no content: an insert
// names it, and a table of another generation has no such column.
const generationPrefix = "generation_"

func generationName(generation uint64) string {
	return generationPrefix + strconv.FormatUint(generation, 10)
}

// generations reads the generation of each table of a database of the server,
// of those that have one.
func (s *server) generations(ctx context.Context, database string) (map[Table]uint64, error) {
	rows, err := s.conn.Query(ctx, `SELECT table, name FROM system.columns WHERE database = ? AND startsWith(name, ?)`, database, generationPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the generation of the tables: %w", err)
	}
	defer rows.Close()
	out := map[Table]uint64{}
	for rows.Next() {
		var table, name string
		if err := rows.Scan(&table, &name); err != nil {
			return nil, fmt.Errorf("read the generation of the tables: %w", err)
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(name, generationPrefix), 10, 64); err == nil {
			out[Table(table)] = n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the generation of the tables: %w", err)
	}
	return out, nil
}

// rename renames a column that holds nothing.
func (s *server) rename(ctx context.Context, table Table, from, to string) error {
	if from == to {
		return nil
	}
	err := s.conn.Exec(ctx, "ALTER TABLE "+quoteName(s.database())+"."+quoteName(string(table))+" RENAME COLUMN IF EXISTS "+from+" TO "+to)
	if err != nil {
		return fmt.Errorf("rename column %s of table %s: %w", from, table, err)
	}
	return nil
}

// tables reads the names of the tables there are.
func (s *server) tables(ctx context.Context) ([]string, error) {
	var names []string
	err := s.conn.QueryRow(ctx, "SELECT groupArray(name) FROM system.tables WHERE database = ?", s.database()).Scan(&names)
	if err != nil {
		return nil, fmt.Errorf("read the names of the tables: %w", err)
	}
	return names, nil
}

// last reads the newest messages of LEDGER and SIGNALS of which there are rows.
// A table that is gone has none.
func (s *server) last(ctx context.Context) (ledger, signals uint64, err error) {
	there, err := s.tables(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range []struct {
		table Table
		query string
		to    *uint64
	}{
		{TableLedger, "SELECT max(batch_last) FROM ledger", &ledger},
		{TableSignals, "SELECT max(stream_seq) FROM signals", &signals},
	} {
		if !slices.Contains(there, string(c.table)) {
			continue
		}
		if err := s.conn.QueryRow(ctx, c.query).Scan(c.to); err != nil {
			return 0, 0, fmt.Errorf("read how far table %s is: %w", c.table, err)
		}
	}
	return ledger, signals, nil
}

// verifyRow checks that l holds the message that a row is of, which knows the
// time to the microsecond.
func verifyRow(ctx context.Context, l stream.Log, row stream.Mark) error {
	if row.Sequence == 0 {
		return nil
	}
	m, ok, err := l.Get(ctx, row.Sequence)
	if err != nil {
		return err
	}
	if !ok {
		return row.Verify(ctx, l) // which tells one that expired from one that never was
	}
	if !m.Time.Truncate(time.Microsecond).Equal(row.StoredAt) {
		return &stream.RewindError{Stream: l.Name(), Mark: row, Found: stream.MarkOf(m)}
	}
	return nil
}
