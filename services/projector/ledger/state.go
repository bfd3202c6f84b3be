// Package ledger is the pure fold of the LEDGER stream: Apply takes entries in
// stream order and keeps every account's credits. See docs/credits.md.
package ledger

import (
	"iter"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// State is what a run of ledger entries amounts to: plans, rate cards and
// accounts, of one partition or of the whole stream. It is not safe for
// concurrent use.
type State struct{}

// New returns the state before the first entry.
func New() *State { return &State{} }

// Apply folds the entry at p and appends what it changed to postings, the
// entry's own posting last. It appends nothing, and changes nothing, when the
// entry was applied before. Decision.Balance is left nil: who answers a command
// asks Balance right after. Appending into postings[:0] of an earlier call
// saves allocations and overwrites the earlier postings, their Draws too.
func (s *State) Apply(p Point, e events.Entry, postings []Posting) (events.Decision, []Posting) {
	return events.Decision{Sequence: p.Sequence, Outcome: events.Unchanged}, postings
}

// Balance returns the balance of account, and whether the ledger ever named it.
func (s *State) Balance(account string) (events.Balance, bool) { return events.Balance{}, false }

// Account returns the settings of an account, and whether they were ever set.
func (s *State) Account(id string) (events.Account, bool) { return events.Account{}, false }

// Plan returns a plan as it stands.
func (s *State) Plan(name string) (events.Plan, bool) { return events.Plan{}, false }

// RateCard returns one version of a rate card.
func (s *State) RateCard(card string, version int) (events.RateCard, bool) {
	return events.RateCard{}, false
}

// NextDue returns when time next changes some account, if it ever does.
func (s *State) NextDue() (time.Time, bool) { return time.Time{}, false }

// Due returns at most limit accounts that time changed at or before now,
// longest due first, then by account. A tick for each carries the change out.
func (s *State) Due(now time.Time, limit int) []string { return nil }

// Accounts yields every account the ledger ever named, sorted.
func (s *State) Accounts() iter.Seq[string] { return func(func(string) bool) {} }
