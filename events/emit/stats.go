package emit

import "time"

// Stats is the state of an Emitter, for health endpoints and metrics.
type Stats struct {
	// Pending is the number of events whose outcome is not known yet, and
	// PendingBytes their encoded size.
	Pending      int
	PendingBytes int
	// Spool is zero without a spool.
	Spool SpoolStats
}

// SpoolStats is the state of a spool.
type SpoolStats struct {
	// Events are in the spool and not delivered yet. They take Bytes of at most
	// MaxBytes; the Oldest has been there since then.
	Events          int
	Bytes, MaxBytes int64
	Oldest          time.Time
	// Spooled, Delivered, Late and Refused count events since New: put into the
	// spool; delivered out of it; older than the dedup horizon at that time; and
	// set aside in refused.jsonl because the server will never take them.
	Spooled, Delivered, Late, Refused uint64
	// Damaged counts unreadable bytes found in the spool since New.
	Damaged int64
	// Refusing says why events cannot be spooled at present: spool.ErrFull, or
	// an error of the disk. Undelivered says why none are delivered although
	// some are there. Both are nil when all is well.
	Refusing, Undelivered error
}

// Stats returns the state of e at this moment.
func (e *Emitter) Stats() Stats {
	freeEvents, freeBytes := e.gate.left()
	stats := Stats{Pending: e.opts.MaxPending - freeEvents, PendingBytes: e.opts.MaxPendingBytes - freeBytes}
	if e.drainer == nil {
		return stats
	}
	held := e.spooler.spool.Stats()
	stats.Spool = SpoolStats{
		Events: held.Events, Bytes: held.Bytes, MaxBytes: e.opts.Spool.MaxBytes, Oldest: held.Oldest, Damaged: held.Damaged,
		Refusing: e.spooler.stuck(),
	}
	e.spooler.mu.Lock()
	stats.Spool.Spooled = e.spooler.total
	e.spooler.mu.Unlock()
	d := e.drainer
	d.mu.Lock()
	defer d.mu.Unlock()
	stats.Spool.Delivered, stats.Spool.Late, stats.Spool.Refused = d.delivered, d.late, d.refused
	if held.Events > 0 {
		stats.Spool.Undelivered = d.failure
	}
	return stats
}
