// Package policy is the pure core of the enforcer: from what an account was
// last told and how it stands now it says what to tell it.
//
// It has no clock and does no I/O. It looks at levels, not at changes, so that
// whatever was missed heals: a balance seen twice, late or after a gap yields
// what is still to be said and nothing twice. Signals go out in the order of
// their causes; the cause and rank of the last one is the account's watermark.
//
// A ledger that lost its end in a power cut gives sequences out again, but not
// their times. An account is then told on by what is recorded later: exhausted
// and restored as it stands, low by causes that are not the last one told again.
// A request for a top-up is told once by its id, also when another one has that
// id now.
// A low level that was told from an entry that was lost may be told once more
// when another one than the last of them came back later in the ledger.
package policy
