package events

import "time"

// Plan is a set of terms that accounts subscribe to.
type Plan struct {
	Plan string `json:"plan"`
	Terms
}

// Terms are what a plan gives and an account may override, field by field. An
// absent field means the plan's, or the default where there is no plan.
type Terms struct {
	// Period is what ParsePeriod reads, anchored at the account's start, in UTC.
	Period string `json:"period,omitzero"`
	// Grant is issued at the start of each period and expires at its end.
	Grant *PlanGrant `json:"grant,omitzero"`
	// Overage is what becomes of usage no grant covers. It is always recorded
	// as overage. With "hard", the default, the account is exhausted at
	// HardStopAt, with "soft" when it owes OverageLimit, with "postpaid" never.
	Overage string `json:"overage,omitzero"`
	// OverageLimit is the overage at or above which a soft account is
	// exhausted: more than 0.
	OverageLimit *Credits `json:"overage_limit,omitzero"`
	// PreserveOverage has overage stay owed at a new period, whose grants repay
	// it; by default it is forgiven.
	PreserveOverage *bool `json:"preserve_overage,omitzero"`
	// Thresholds are the levels of available credits at or below which the
	// account is low: "20%" of what was granted in the period, or credits.
	Thresholds []string `json:"thresholds,omitempty"`
	// HardStopAt is the level of available credits at or below which an account
	// with hard overage is exhausted; default 0.
	HardStopAt *Credits `json:"hard_stop_at,omitzero"`
	// Budgets limit what parts of the account's usage may cost.
	Budgets []Budget `json:"budgets,omitempty"`
	// CaptureMore lets a capture charge more than its hold; default false.
	CaptureMore *bool `json:"capture_more,omitzero"`
	// TopUp has a payment requested when the account runs low.
	TopUp *TopUp `json:"top_up,omitzero"`
}

// The values of Terms.Overage.
const (
	OverageHard     = "hard"
	OverageSoft     = "soft"
	OveragePostpaid = "postpaid"
)

// PlanGrant is the grant a plan issues each period.
type PlanGrant struct {
	Amount   Credits `json:"amount"`
	Priority *uint8  `json:"priority,omitzero"` // default 100
	// Rollover carries what is left of it into the next period; without one it
	// is lost.
	Rollover *Rollover `json:"rollover,omitzero"`
}

// Rollover is how much is carried over a boundary: what is left, but at least
// Min and at most Max. What is missing is granted, what is too much expires.
type Rollover struct {
	Min Credits `json:"min,omitzero"` // at most Max
	Max Credits `json:"max"`          // more than 0
}

// Account is what is set of an account: its plan, its start and its own terms.
// An account that was never set exists all the same once the ledger names it.
type Account struct {
	ID        string    `json:"id"`
	Plan      string    `json:"plan,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"` // anchors periods; default when first set
	Terms
	// Change says when a command to set the account takes effect; default now.
	// It is of the command alone and not kept.
	Change PlanChange `json:"change,omitzero"`
	// Next are the settings that wait for the end of the running period. The
	// ledger says so; a command has none.
	Next *Account `json:"next,omitzero"`
}

// PlanChange says when settings that change periods or their grants take
// effect.
type PlanChange string

// The ways to change a plan.
const (
	// ChangeNow closes the running period and starts the new plan's with its
	// full grant.
	ChangeNow PlanChange = "now"
	// ChangeNowProrated does so with the share of the grant that the new period,
	// counted from the account's start, has still before it.
	ChangeNowProrated PlanChange = "now_prorated"
	// ChangePeriodEnd waits for the end of the running period.
	ChangePeriodEnd PlanChange = "period_end"
)

// DefaultPriority is a grant's priority when it names none.
const DefaultPriority = 100

// Grant is a block of credits. It is immutable; it may be voided.
type Grant struct {
	// ID identifies the grant within its account and makes issuing it
	// idempotent: 1 to 128 of A–Z a–z 0–9 _ - . :
	ID     string  `json:"id"`
	Amount Credits `json:"amount"`
	// Priority 0 to 255: a lower one is drawn first; default 100.
	Priority *uint8 `json:"priority,omitzero"`
	// EffectiveAt is when it may first be drawn; default when it is recorded.
	EffectiveAt time.Time `json:"effective_at,omitzero"`
	// ExpiresAt is when it may no longer be drawn; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Recurrence is the length of a period, as Terms.Period writes it. At the
	// start of each, counted from EffectiveAt, what is left is lost or rolled
	// over and Amount is granted again.
	Recurrence string `json:"recurrence,omitzero"`
	// Rollover is what is kept at each recurrence or, without one, when a new
	// period of the account follows one that ended.
	Rollover *Rollover   `json:"rollover,omitzero"`
	Source   GrantSource `json:"source,omitzero"` // default prepaid, or top_up with TopUp
	// TopUp is the id of the request for a top-up that the grant answers.
	TopUp     string     `json:"top_up,omitzero"`
	CostBasis *CostBasis `json:"cost_basis,omitzero"`
	Note      string     `json:"note,omitzero"` // at most 512 bytes
}

// GrantSource says where a grant came from.
type GrantSource string

// The sources of grants.
const (
	SourcePlan       GrantSource = "plan"
	SourcePrepaid    GrantSource = "prepaid"
	SourcePromo      GrantSource = "promo"
	SourceTopUp      GrantSource = "top_up"
	SourceAdjustment GrantSource = "adjustment"
)

// CostBasis is what was paid for one credit of a grant.
type CostBasis struct {
	Currency string   `json:"currency"` // ISO 4217, "USD"
	Price    Quantity `json:"price"`    // per credit
}

// ValidGrantID reports whether id may name a grant.
func ValidGrantID(id string) bool { return validToken(id, 128, "_-.:") }

// ValidName reports whether s may name a plan or rate card: 1 to 64 of
// A–Z a–z 0–9 _ - .
func ValidName(s string) bool { return validToken(s, 64, "_-") }
