// Package events is Drawdown's public contract: credits, usage events, ledger
// entries, balances, signals, rate cards and plans, the subjects they travel
// on and their encoding as CloudEvents.
//
// It decides nothing and does no I/O: what a usage event costs is decided by
// the rater, what an entry does to an account by the ledger's fold. Every value
// here can be encoded, stored and decoded again without loss. No amount of
// money ever passes through a float.
package events
