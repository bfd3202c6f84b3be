package events

import "time"

// BalanceGrantsMax bounds how many open grants a Balance lists.
const BalanceGrantsMax = 100

// BalanceHoldsMax bounds how many open holds a Balance lists.
const BalanceHoldsMax = 100

// Balance is the state of one account at one point of the ledger: the value of
// KV bucket BALANCES and the body of GET /v1/accounts/{id}/balance.
//
// Granted = Remaining + Drawn + Expired + Voided, and
// Charged = Drawn + Overage + Forgiven, at every sequence.
type Balance struct {
	Account string `json:"account"`
	Plan    string `json:"plan,omitzero"`

	// Available may be spent now: what remains of active grants, less Held.
	Available Credits `json:"available"`
	Held      Credits `json:"held"`
	// Overage is usage that no grant covered; never a negative grant.
	Overage Credits `json:"overage"`

	// Totals since the account began.
	Granted   Credits `json:"granted"`
	Remaining Credits `json:"remaining"` // of all open grants, also those not yet active
	Drawn     Credits `json:"drawn"`
	Expired   Credits `json:"expired"`
	Voided    Credits `json:"voided"`
	Charged   Credits `json:"charged"`
	Forgiven  Credits `json:"forgiven"` // overage forgiven at a new period

	Period *Period `json:"period,omitzero"`
	// Next is the plan that waits for the end of the running period.
	Next *NextPlan `json:"next,omitzero"`
	// Grants are the open ones in draw order, at most BalanceGrantsMax;
	// MoreGrants counts the rest.
	Grants     []GrantBalance `json:"grants,omitempty"`
	MoreGrants int            `json:"more_grants,omitzero"`
	// Holds are the open ones, soonest to expire first, at most BalanceHoldsMax;
	// MoreHolds counts the rest.
	Holds     []HoldBalance `json:"holds,omitempty"`
	MoreHolds int           `json:"more_holds,omitzero"`
	// Budgets are the scope values of which something is spent or held: at most
	// BalanceExceededMax that are exceeded, the longest so first, then at most
	// BalanceBudgetsMax others, the highest share used first. MoreBudgets counts
	// the rest.
	Budgets     []BudgetBalance `json:"budgets,omitempty"`
	MoreBudgets int             `json:"more_budgets,omitzero"`
	// TopUp is where auto top-up stands; nil where the terms have none and none
	// pends.
	TopUp *TopUpBalance `json:"top_up,omitzero"`
	// Levels are the thresholds and the hard stop, highest first, with what
	// last moved the account across each.
	Levels []Level `json:"levels,omitempty"`

	// Sequence is the LEDGER sequence of the last entry that touched the
	// account, Index its place in the message.
	Sequence uint64    `json:"sequence"`
	Index    int       `json:"index,omitzero"`
	At       time.Time `json:"at"` // of that entry, as recorded in the ledger
}

// Period is one period of a plan: [Start, End).
type Period struct {
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Granted Credits   `json:"granted"` // in the period, whatever the source
}

// NextPlan is what an account changes to when its running period ends.
type NextPlan struct {
	Plan string    `json:"plan,omitzero"` // empty for none
	At   time.Time `json:"at"`
}

// GrantBalance is what remains of one grant.
type GrantBalance struct {
	ID          string      `json:"id"`
	Amount      Credits     `json:"amount"`
	Remaining   Credits     `json:"remaining"`
	Priority    uint8       `json:"priority"`
	EffectiveAt time.Time   `json:"effective_at"`
	ExpiresAt   time.Time   `json:"expires_at,omitzero"`
	RecursAt    time.Time   `json:"recurs_at,omitzero"` // when it is next granted again
	Source      GrantSource `json:"source"`
}

// Level is one level of available credits that signals are about.
type Level struct {
	// Kind is low for a threshold, exhausted for the hard stop or the overage
	// limit, and overage_started for the first overage.
	Kind SignalKind `json:"kind"`
	// Threshold is as the terms write it: "20%", "100", "0"; an overage limit
	// of 50 is "-50".
	Threshold string  `json:"threshold"`
	At        Credits `json:"at"` // the threshold in credits
	// Reached says that Available less Overage is at or below At; for
	// overage_started below it.
	Reached bool `json:"reached"`
	// Since is the entry that last changed Reached; nil when none did.
	Since *Cause `json:"since,omitzero"`
}

// Cause names the ledger entry that brought something about. Causes of one
// account are ordered by Sequence, then Index.
type Cause struct {
	Sequence uint64    `json:"sequence"` // in LEDGER
	Index    int       `json:"index,omitzero"`
	Kind     EntryKind `json:"kind"`
	At       time.Time `json:"at"` // as recorded in the ledger
	// Source and ID name the usage event of a debit; ID alone what a command names.
	Source string `json:"source,omitzero"`
	ID     string `json:"id,omitzero"`
}
