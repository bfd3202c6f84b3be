package events

import "time"

// EntryKind says what a ledger entry does.
type EntryKind string

// The kinds of ledger entries. Debits come from the rater; ticks from the
// projector's clock; all others are commands, and the fold decides them.
const (
	EntryDebit      EntryKind = "debit"
	EntryGrant      EntryKind = "grant"
	EntryVoid       EntryKind = "void"
	EntryHold       EntryKind = "hold"
	EntryCapture    EntryKind = "capture"
	EntryRelease    EntryKind = "release"
	EntryAdjust     EntryKind = "adjust"
	EntryDecline    EntryKind = "decline"
	EntryCorrection EntryKind = "correction"
	EntryAccount    EntryKind = "account"
	EntryPlan       EntryKind = "plan"
	EntryRateCard   EntryKind = "rate_card"
	EntryTick       EntryKind = "tick"
)

// Chunk is one LEDGER message: entries appended together, in order. The
// message's stream sequence and timestamp belong to every entry in it.
type Chunk struct {
	// Span says which usage events a rater's chunk settles; nil for others.
	Span    *Span   `json:"span,omitzero"`
	Entries []Entry `json:"entries,omitempty"`
}

// Span is the run of a partition's usage events that one chunk settles, after
// the run of the partition's previous chunk. Its counts add up:
// Events = debits in the chunk + Duplicates + Rejected.
type Span struct {
	// Through is the last event settled. A rater resumes behind it.
	Through    Position `json:"through"`
	Events     int      `json:"events"`
	Duplicates int      `json:"duplicates,omitzero"`
	Rejected   int      `json:"rejected,omitzero"` // dead-lettered
	// Rewound says that USAGE lost its end, and that Through is the last event
	// settled that it still holds, the zero Position when there is none. Such a
	// span settles nothing: what USAGE stores behind Through is read next.
	Rewound bool `json:"rewound,omitzero"`
}

// Position is one event in the USAGE stream.
type Position struct {
	Sequence uint64 `json:"sequence"`       // of the USAGE message
	Index    int    `json:"index,omitzero"` // of the event in its batch, from 0
	// StoredAt is the message's stream timestamp: with Sequence it identifies
	// the message, so that a stream that lost its tail is noticed.
	StoredAt time.Time `json:"stored_at,omitzero"`
}

// Entry is one immutable change to the ledger. Exactly the field its Kind
// names is set; a tick has none.
type Entry struct {
	Kind    EntryKind `json:"kind"`
	Account string    `json:"account,omitzero"` // empty for plans and rate cards

	Debit      *Debit      `json:"debit,omitzero"`
	Grant      *Grant      `json:"grant,omitzero"`
	Void       *Void       `json:"void,omitzero"`
	Hold       *Hold       `json:"hold,omitzero"`
	Capture    *Capture    `json:"capture,omitzero"`
	Release    *Release    `json:"release,omitzero"`
	Adjust     *Adjustment `json:"adjust,omitzero"`
	Decline    *Decline    `json:"decline,omitzero"`
	Correction *Correction `json:"correction,omitzero"`
	Settings   *Account    `json:"settings,omitzero"` // of kind account
	Plan       *Plan       `json:"plan,omitzero"`
	RateCard   *RateCard   `json:"rate_card,omitzero"`
}

// Debit is one usage event, what it costs and why.
type Debit struct {
	Source string    `json:"source"`
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Data   UsageData `json:"data"`
	// Position is where the event stands in USAGE.
	Position Position `json:"position"`

	Amount  Credits `json:"amount"` // 0 or more
	Card    string  `json:"card"`
	Version int     `json:"version"`
	Rule    string  `json:"rule"`
	// Arithmetic is how Amount came about, as a person would write it:
	// "0.25 + ceil(203023 / 1048576) × 1 = 1.25".
	Arithmetic string `json:"arithmetic"`
	// Tiers says which tier counters the debit moved, each once.
	Tiers []Tier `json:"tiers,omitempty"`
}

// TierPart says which part of a price counts.
type TierPart string

// The parts of a price that count what an account uses in its billing period.
const (
	PartGraduated TierPart = "graduated"
	PartVolume    TierPart = "volume"
)

// Counter names what one tiered part of a price counts, through all versions of
// the rate card, within an account and one of its billing periods.
type Counter struct {
	Card     string
	Rule     string
	Part     TierPart
	Quantity string
}

// Tier is what one debit did to one counter: it stood at Before and grew by
// Amount. The debit's own card and rule name the counter with Part and
// Quantity. Adding up the tiers of all debits gives the counters again.
type Tier struct {
	Part     TierPart `json:"part"`
	Quantity string   `json:"quantity"`
	// Period is when the account's billing period started.
	Period time.Time `json:"period"`
	Before Total     `json:"before"`
	Amount Quantity  `json:"amount"` // above 0
}

// Counter returns the counter that t moved, where t is one of d's tiers.
func (d Debit) Counter(t Tier) Counter {
	return Counter{Card: d.Card, Rule: d.Rule, Part: t.Part, Quantity: t.Quantity}
}

// Usage returns the usage event that d charges to account.
func (d Debit) Usage(account string) Usage {
	return Usage{Source: d.Source, ID: d.ID, Account: account, Time: d.Time, Data: d.Data}
}

// Void ends a grant: what remains of it goes, its history stays.
type Void struct {
	Grant  string `json:"grant"` // its id
	Reason string `json:"reason,omitzero"`
}

// HeaderReply names, in a command's LEDGER message, the NATS subject on which
// the asker waits for the fold's Decision.
const HeaderReply = "Drawdown-Reply"

// Outcome says what the fold made of a command.
type Outcome string

// The outcomes of a command.
const (
	Applied   Outcome = "applied"
	Unchanged Outcome = "unchanged" // the same command was applied before
	Refused   Outcome = "refused"
)

// Codes of refused commands.
const (
	RefusedConflict    = "conflict"     // the id is used with other content
	RefusedNotFound    = "not_found"    // it names a plan, grant or hold that does not exist
	RefusedInvalid     = "invalid"      // its content makes no sense
	RefusedAlreadyVoid = "already_void" // the grant is void
	RefusedSpent       = "spent"        // nothing of the grant remains
	RefusedOverflow    = "overflow"     // a total of the account would overflow

	RefusedInsufficient = "insufficient" // a hold of more than is available, or than a budget has room for
	RefusedTooMany      = "too_many"     // a hold beside as many open ones as an account may have
	RefusedCaptured     = "captured"     // the hold is captured
	RefusedReleased     = "released"     // the hold is released
	RefusedExpired      = "expired"      // the hold, or the request for a top-up, has expired

	RefusedAnswered = "answered" // a grant answered the request for a top-up
)

// Shortage says why a hold did not fit.
type Shortage struct {
	// Scope is the narrowest that refused: "account", or a budget's such as
	// "project:web" or "key:k1".
	Scope     string  `json:"scope"`
	Available Credits `json:"available"` // in that scope
	Required  Credits `json:"required"`
	// ResetsAt is when the scope is filled up again by itself; zero if never.
	ResetsAt time.Time `json:"resets_at,omitzero"`
}

// Decision is the fold's answer to a command. Replaying the ledger gives the
// same decision again.
type Decision struct {
	// Sequence is the LEDGER sequence of the command.
	Sequence uint64  `json:"sequence"`
	Outcome  Outcome `json:"outcome"`
	// Code and Detail say why a command was refused.
	Code   string `json:"code,omitzero"`
	Detail string `json:"detail,omitzero"`
	// Version is the version a rate card was given.
	Version int `json:"version,omitzero"`
	// Hold is the one that the command names, as it stands after it.
	Hold *HoldBalance `json:"hold,omitzero"`
	// Corrected says what a correction did.
	Corrected *Corrected `json:"corrected,omitzero"`
	// Shortage says what a hold was refused for as insufficient.
	Shortage *Shortage `json:"shortage,omitzero"`
	// TopUp says what a grant that names a request for a top-up did to it.
	TopUp TopUpAnswer `json:"top_up,omitzero"`
	// Balance is the account's after the command; nil for plans and cards.
	Balance *Balance `json:"balance,omitzero"`
}
