// Package clickhouse projects the LEDGER stream, and SIGNALS beside it, into
// ClickHouse tables for analysts. It folds the ledger itself, so it needs no
// other projection and delays none.
//
// Every posting lands exactly once, in the tables and in the sums that
// materialized views keep, whatever crashes:
//
//   - A batch is a contiguous range of LEDGER sequences, cut before a month of
//     recorded_at ends, below one block: one insert, one part, all or nothing.
//   - It is inserted into usage_events and then into ledger, each time with a
//     deduplication token that names the range. Every table that receives rows
//     has a deduplication window, so sending a range again completes what a
//     crash left out and changes nothing else.
//   - A batch that fails is sent again as it is, until it succeeds. It is never
//     cut anew: only the same range is recognised as the same.
//   - Every row says which range it came in. A new projector reads the newest
//     range from ClickHouse, sends exactly that again, and goes on behind it.
//     Nothing else is a checkpoint.
//   - What ClickHouse holds must be what the stream held. If it is not, the
//     projection stops and says so; it does not guess.
//
// There must be one projector per ClickHouse database: the protocol makes one
// writer's crashes harmless, not two writers' ranges that overlap.
package clickhouse
