// Package clickhouse projects the LEDGER stream, and SIGNALS beside it, into
// ClickHouse tables for analysts. It folds the ledger itself, so it needs no
// other projection and delays none.
//
// Every posting lands exactly once, in the tables and in the sums that
// materialized views keep, whatever crashes and however many write:
//
//   - A batch is a contiguous range of LEDGER sequences, cut before a month of
//     recorded_at ends, below one block: one insert, one part, all or nothing.
//   - Before its first row is sent, its borders are agreed on: appended to the
//     manifest in bucket PROJECTIONS, behind the revision that the writer knows.
//     Who is refused begins again from what is agreed. Who agrees on a batch has
//     sent the one before wholly, so one batch at most is anywhere in between.
//   - It is inserted into usage_events and then into ledger, each time with a
//     deduplication token that names the range. Every table that receives rows
//     has a deduplication window, so sending a range again completes what a
//     crash left out and changes nothing else. So two writers at once, and one
//     that was stopped for a while, send the same or nothing: a lease saves
//     their work and guarantees nothing.
//   - A batch that fails is sent again as it is, until it succeeds. A batch that
//     was agreed on longer than a minute ago is sent only while the manifest
//     still says so: ClickHouse remembers 10 000 tokens of a table, not all.
//   - A writer that begins reads the newest range from ClickHouse and from the
//     manifest. They must go together, and the messages that they name must be
//     in the streams, by sequence and time. If not, the projection stops and
//     says so; it does not guess. Balances are not affected.
//   - Database and manifest name the installation and each other.
//
// A LEDGER message that cannot be read stops its partition: from it on, that
// partition's messages are rows of kind none, and stopped_partitions says why.
//
// At most two batches and what a reader buffers are in memory, however long
// ClickHouse does not answer.
//
// # Rebuild
//
// Rebuild fills tables of the same names in a database beside the live one,
// named <database>_rebuild, and then exchanges them. What the engine does there
// was found by experiment (26.7):
//
//   - RENAME DATABASE leaves materialized views that read and write the
//     database's old name: inserts then reach no rollup, without an error.
//   - EXCHANGE TABLES works between databases and in one statement for all
//     tables; the tokens that a table remembers move with it. Materialized views
//     find source and target by name, so the live ones serve the new tables.
//   - A view signs the tokens of what it inserts with its own identity. The live
//     views' tokens are unknown to tables that another view has filled, and the
//     newest batch would be counted twice if it were sent again. So the shadow is
//     completed first, and the manifest says that its newest batch is not to be
//     sent again.
//   - A column's name can be a fence: inserts name an EPHEMERAL column that is
//     called after the generation of the tables. One that is late for tables of
//     another generation is refused by the server, whatever its token.
//
// Each exchange of two tables is atomic; the list of one statement is not, as far
// as we know, so a query of several tables that begins right then may see some
// old and some new: they differ only in what was wrong. Not measured: how long
// one statement takes, and what a query sees that runs meanwhile. Writers wait from before the last batches of the shadow to the
// end of the exchange.
package clickhouse
