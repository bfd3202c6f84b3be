// Package rater turns usage events into ledger entries: it reads the USAGE
// stream, finds the rate card in force at each event's own time, and appends
// debits, many to a message, to the LEDGER.
//
// Exactly once, by construction. What a rater has done is what its own ledger
// messages say: each carries the span of usage it settles, and the place that
// the next one goes on from. Appends are fenced by the sequence of the last one,
// so that of two raters of a partition, one writes and the other notices, reads
// on and stands where the first does. An append whose outcome is unknown is
// settled the same way, by reading. Which events are charged is remembered in an
// index on disk (package dedup), for as long as they can come again; it names
// the ledger message it stands at, is brought up from there, and is made anew
// when the ledger does not hold that message.
//
//	crash before a dead letter is kept     it is published again, under a subject that takes it once
//	crash between dead letter and append   the dead letter is already there; the span is rated again
//	crash between append and its ack       the ledger has the span; nothing is rated twice
//	a second rater of the same partition   its appends are refused by the fence
//	a USAGE stream that lost its end       noticed before the next append, by the time of the message last settled; the partition
//	                                       stops until Rewind, and what is read again is known
//	a LEDGER that lost its end             noticed by the index; what the ledger lacks is rated again
//	an index that is lost or damaged       made anew from the ledger
//
// Tier counters are what the debits in the ledger add up to, less what corrections
// take back, and with what they charge anew. A correction counts for the events
// that are rated after it has come, and for all that are rated after a start. The
// index holds the counters with the last correction in them, so that each counts
// once, and the order in which debits and corrections are read does not matter.
//
// An event that can never be charged goes to DEADLETTER with the reason and its
// original bytes, before the span that counts it is appended; the pipeline
// never stops for it. Anything else that goes wrong is retried, in order.
//
// What an event costs is decided by package rating; the rater knows no prices.
package rater
