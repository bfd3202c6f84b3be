// Package dedup remembers which usage events of a partition are charged, on
// disk, for as long as one sent again could still be taken. Beside them, and
// committed with them, it keeps the tier counters of the partition's accounts, as
// debits and corrections leave them.
//
// An index is derived: the LEDGER says what is charged, and what an index lacks
// is read from there. So nobody waits for a sync, and an index that is damaged,
// of another format, of another partition or that cannot be trusted otherwise
// is removed instead of mended. What it does promise is that keys and the state
// that speaks for them are written together: after any crash it holds, for a
// state it once stood at, exactly the keys of that state.
//
// Keys are kept in generations, by the time of the ledger message that charged
// them, and a generation is forgotten as a whole, once everything in it is
// older than the horizon. A look-up asks each generation that is left, by a
// filter in memory first, which is made when an index is opened, beside look-ups.
package dedup
