// Package balances is the projection of the ledger that everybody reads: it
// folds each partition, keeps the bucket BALANCES and the bucket CATALOG in
// step, answers commands with the fold's decision and lets time pass for
// accounts without traffic. What an entry does is decided by package ledger
// alone.
//
// Its invariants:
//
//   - Both buckets are views. What is missing, altered or lost in them is
//     written again when a partition is gained and after every reconnect.
//   - A value never replaces that of a later entry: each put names the revision
//     it replaces, also when two projectors run for one partition.
//   - A command is answered after the buckets show what it did. One that was
//     stored shortly before a partition changed hands is answered by the new
//     holder too.
//   - Time passes only through the ledger: a tick is appended, fenced by the
//     last one, and takes effect when it comes back.
//   - A message no writer of the ledger appends stops its partition, and only
//     that: whatever comes behind it cannot be trusted.
//   - A ledger that no longer holds what a partition, or its bucket, was built
//     on stops the partition until Rebuild has been there.
//   - A snapshot changes what a start costs, never what it comes to.
package balances
