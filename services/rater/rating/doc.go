// Package rating is the pure core of the rater: what one usage event costs
// under one version of a rate card, and why.
//
// Rate is exact: the price is summed as a rational number and rounded once, by
// the card's stated rule, to a whole micro-credit. No float is involved, and a
// charge beyond events.MaxCredits is an error, never a wrap. The same card and
// event give the same charge, byte for byte, on every machine.
//
// It has no clock and does no I/O; which card is in force is asked of a Book by
// the event's own time, and where usage comes from and debits go is the rater's
// affair.
package rating
