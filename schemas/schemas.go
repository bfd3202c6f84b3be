// Package schemas holds what others check Drawdown's data against: a JSON
// Schema of every event and document, and the ClickHouse migrations. It embeds
// the files and imports nothing of ours.
package schemas
