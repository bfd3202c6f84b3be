// Package books is the oracle's own fold of the ledger: what docs/credits.md and
// docs/holds.md say, written once more from their text. It shares no code with
// the product, not even the decoding of an entry.
//
// It is simple rather than quick: lists that are sorted and searched, and one
// number of micro-credits, int64, where the product keeps queues and sums.
// Amounts that overflow are not its concern, and neither is content that the
// gateway would not let in: no workload sends any.
//
// The chaos run holds what real processes published against it, the simulation
// every balance and decision of every seed.
package books
