package events

import (
	"strconv"
	"time"
)

// SignalKind says what happened to an account.
type SignalKind string

// The kinds of signals published today.
const (
	SignalLow       SignalKind = "low"
	SignalExhausted SignalKind = "exhausted"
	SignalRestored  SignalKind = "restored"
	// SignalOverageStarted says that usage is no longer covered by grants. Only
	// accounts with soft or postpaid overage are told.
	SignalOverageStarted SignalKind = "overage_started"
	// SignalBudgetExceeded says that one value of a budget's scope has spent its
	// limit, SignalBudgetRestored that it is below it again.
	SignalBudgetExceeded SignalKind = "budget_exceeded"
	SignalBudgetRestored SignalKind = "budget_restored"
	// SignalTopUpRequested asks for a payment: once per request.
	SignalTopUpRequested SignalKind = "topup_requested"
)

// SignalKinds lists all kinds of signals.
func SignalKinds() []SignalKind {
	return []SignalKind{SignalLow, SignalExhausted, SignalRestored, SignalOverageStarted, SignalBudgetExceeded, SignalBudgetRestored, SignalTopUpRequested}
}

// SourceEnforcer is the CloudEvents source of every signal.
const SourceEnforcer = "/drawdown/enforcer"

// Type is the CloudEvents type of signals of kind k.
func (k SignalKind) Type() string { return "drawdown.credits." + string(k) + ".v1" }

// Signal says that an account crossed a level. Each transition is published
// once, in order per account.
type Signal struct {
	Account string        `json:"account"`
	Kind    SignalKind    `json:"kind"`
	Balance SignalBalance `json:"balance"`
	// Threshold is the level crossed, as the account's terms write it.
	// Of a budget it is the limit, of a top-up what it was requested below.
	Threshold string `json:"threshold"`
	Scope     string `json:"scope"` // "account", or of a budget "project:web"
	// Per is of a budget: day, month, period…
	Per string `json:"per,omitzero"`
	// Exceeded are, in a signal about a budget, the names of all budgets of the
	// account that were told as exceeded, this one included.
	Exceeded []string `json:"exceeded,omitempty"`
	// TopUp is what is asked for, of topup_requested.
	TopUp *TopUpRequest `json:"top_up,omitzero"`
	// Cause is the ledger entry that made the account cross.
	Cause Cause `json:"cause"`
	// Sequence counts the account's signals: 1, 2, 3…
	Sequence uint64    `json:"sequence"`
	At       time.Time `json:"at"` // when the cause was recorded in the ledger
}

// SignalBalance is the account's balance when a signal was published.
type SignalBalance struct {
	Available Credits `json:"available"`
	Held      Credits `json:"held"`
	Overage   Credits `json:"overage"`
}

// ScopeAccount is the scope of signals about the account itself.
const ScopeAccount = "account"

// ID is the CloudEvents id: the same however often the signal is delivered.
func (s Signal) ID() string { return s.Account + "." + strconv.FormatUint(s.Sequence, 10) }
