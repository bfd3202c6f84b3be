// Package ledger is the pure fold of the LEDGER stream: State.Apply takes the
// entries in stream order, decides the commands among them and keeps every
// account's credits. docs/credits.md gives the rules with examples. The package
// has no clock, no I/O and no randomness, and it is no place for policy: what a
// level means to anyone is the enforcer's.
//
// Invariants, for every account after every posting:
//
//   - Granted = Remaining + Drawn + Expired + Voided.
//   - Charged = Drawn + Overage + Forgiven.
//   - No amount is negative; each total is the sum of its postings' deltas.
//   - Available is what remains of active grants, less Held.
//   - There is overage only while nothing remains of active grants.
//   - An account depends on its own entries and on plans, never on other
//     accounts, so one partition's fold equals that of the whole stream.
//
// Apply is total. An entry of the log always applies, or is refused with a code
// and a reason and changes nothing but the time. An account's time is the
// latest stream timestamp among its entries, in microseconds: a stream clock
// that steps back does not take an account back.
//
// Before an entry applies, time passes for its account: due changes happen one
// by one in the order of their instants. At one instant holds expire first, then
// grants, then recurring grants start over, then the period ends and forgives
// overage unless it is preserved, then settings that waited for that take effect
// and the next period begins (with what the plan carries over, the rollovers of
// other grants, and the plan's grant), then pending grants take effect, then a request
// for a top-up times out, and then comes the entry itself. Of several of a kind,
// older ones come first. Whether a top-up is to be requested is looked at once,
// when all of that has happened.
package ledger
