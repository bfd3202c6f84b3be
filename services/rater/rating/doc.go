// Package rating is the pure core of the rater: what one usage event costs
// under one version of a rate card, and why.
//
// Rate is exact: the price is worked out as a rational number and rounded once,
// by the card's stated rule, to a whole micro-credit. No float is involved, and
// a charge beyond events.MaxCredits is an error, never a wrap. The same card,
// event and context give the same charge, byte for byte.
//
// What an account has used before, where tiers depend on it, is part of the
// Context, and what the event adds to that is part of the Charge: rating keeps
// no counters. Conditions are package condition's; a rule or price without one
// does not touch it.
//
// It has no clock and does no I/O; which card is in force is asked of a Book by
// the event's own time, and where usage comes from and debits go is the rater's
// affair.
package rating
