package ledger

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Point is where an entry stands in the log: its place and its time. Time is
// the LEDGER message's stream timestamp and the fold's only clock.
type Point struct {
	Sequence uint64
	Index    int // in the message
	Time     time.Time
}

// PostingKind says what one posting did.
type PostingKind string

// The kinds of postings. The first group follows from the passing of time and
// precedes the entry that made it due; the second is the entry itself.
const (
	PostingHoldExpire PostingKind = "hold_expire" // a hold ended by itself
	PostingExpire     PostingKind = "expire"      // a grant reached its end
	PostingRecur      PostingKind = "recur"       // a grant started over
	PostingForgive    PostingKind = "forgive"     // overage forgiven at a new period
	PostingChange     PostingKind = "change"      // settings that waited for the end of a period took effect
	PostingRollover   PostingKind = "rollover"    // what was left of a grant was carried over a boundary
	PostingPeriod     PostingKind = "period"      // a period began and its plan's grant was issued
	PostingActivate   PostingKind = "activate"    // a grant reached its effective time

	PostingDebit      PostingKind = "debit"
	PostingGrant      PostingKind = "grant"
	PostingVoid       PostingKind = "void"
	PostingHold       PostingKind = "hold"
	PostingCapture    PostingKind = "capture"
	PostingRelease    PostingKind = "release"
	PostingCorrection PostingKind = "correction"
	PostingAdjust     PostingKind = "adjust"
	PostingDecline    PostingKind = "decline"
	PostingAccount    PostingKind = "account"
	PostingPlan       PostingKind = "plan"
	PostingRateCard   PostingKind = "rate_card"
	PostingTick       PostingKind = "tick"
)

// Posting is one step of an account: what one entry, or the time before it,
// changed. Summed over an account's postings, each delta equals the total of
// the same name in its Balance. Postings are what analysts see as the ledger.
type Posting struct {
	Kind    PostingKind
	Account string // empty for plans and rate cards
	// Number counts the account's postings: 1, 2, 3…
	Number uint64
	// At is when the change took place: the due time of an expiry or a period,
	// the entry's time otherwise.
	At time.Time
	// Grant is the grant concerned, if it is one. Of an adjustment that charges
	// it is the name its grant would have.
	Grant string
	// Hold is the hold concerned, if it is one.
	Hold string
	// Refused is the code of a refused command, which changes nothing.
	Refused string

	// Deltas, none negative but in corrections.
	Granted, Drawn, Expired, Voided, Charged, Forgiven events.Credits

	// Draws say from which grants Drawn came, in draw order.
	Draws []Draw

	// The account after this posting.
	Available, Held, Overage, Remaining events.Credits
}

// Draw is what one grant gave.
type Draw struct {
	Grant  string
	Amount events.Credits
	Left   events.Credits // of the grant, afterwards
}
