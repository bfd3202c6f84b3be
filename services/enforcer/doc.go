// Package enforcer tells accounts, by signals in stream SIGNALS, that they are
// low, exhausted or restored, or that their overage started. It watches bucket
// BALANCES and asks package policy what is still to be said; it decides nothing
// itself and keeps nothing: what an account was told is read from SIGNALS.
//
// Each transition is published once, in order per account. Every publish is
// fenced by the account's last signal, so that a second enforcer, a crash
// between publish and acknowledgement, or a lost acknowledgement costs a look
// at the stream and never a repetition.
//
// The watch of all balances is one for all partitions that this instance holds;
// a partition that it is given looks at all of its balances while the others go
// on. When LEDGER has lost the entry that a signal named as its cause, what the
// balance says counts; when SIGNALS or BALANCES has lost its end, all begins
// anew.
package enforcer
