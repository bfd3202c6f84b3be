// Package policy is the pure core of the enforcer: from what an account was
// last told and how it stands now it says what to tell it.
//
// It has no clock and does no I/O. It looks at levels, not at changes, so that
// whatever was missed heals: a balance seen twice, late or after a gap yields
// what is still to be said and nothing twice. Signals go out in the order of
// their causes; the cause and rank of the last one is the account's watermark.
package policy
