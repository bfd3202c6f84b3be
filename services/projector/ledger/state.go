package ledger

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// State is what a run of ledger entries amounts to: plans, rate cards and
// accounts, of one partition or of the whole stream. It is not safe for
// concurrent use.
type State struct {
	accounts map[string]*account
	named    []*account // the accounts in the order the ledger named them
	due      queue[*account, byDue]

	// known has every grant that is open, and every closed one whose id may
	// not be used again.
	known map[digest]fate

	plans map[string]*plan
	cards map[string][]version

	broadcast clock // of plans and cards
	stray     place // of entries that name no possible account

	drew []share // by the charge on its way; reused
}

// New returns the state before the first entry.
func New() *State {
	return &State{
		accounts:  map[string]*account{},
		known:     map[digest]fate{},
		plans:     map[string]*plan{},
		cards:     map[string][]version{},
		broadcast: newClock(),
	}
}

// Apply folds the entry at p and appends what it changed to postings, the
// entry's own posting last. Entries come in order of (Sequence, Index), and
// sequences start at 1. Apply appends nothing, and changes nothing, when the
// entry, or a later one, was applied before.
//
// Decision.Balance is left nil: whoever answers a command asks Balance right
// after. Appending to postings[:0] of an earlier call saves allocations and
// overwrites the earlier postings, their Draws too. State keeps parts of e,
// which must not change afterwards.
func (s *State) Apply(p Point, e events.Entry, postings []Posting) (events.Decision, []Posting) {
	var decision events.Decision
	if e.Kind == events.EntryPlan || e.Kind == events.EntryRateCard {
		decision, postings = s.applyBroadcast(p, e, postings)
	} else if a := s.account(e.Account); a != nil {
		decision, postings = s.applyTo(a, p, e, postings)
	} else {
		decision, postings = s.applyStray(p, e, postings)
	}
	decision.Sequence = p.Sequence
	return decision, postings
}

// account returns the named account, which exists from now on, or nil when id
// is no account's.
func (s *State) account(id string) *account {
	if a, ok := s.accounts[id]; ok {
		return a
	}
	if !events.ValidAccount(id) {
		return nil
	}
	a := newAccount(id)
	s.accounts[id] = a
	s.named = append(s.named, a)
	return a
}

// applyStray refuses an entry that names no possible account.
func (s *State) applyStray(p Point, e events.Entry, postings []Posting) (events.Decision, []Posting) {
	if !s.stray.advance(p) {
		return unchanged, postings
	}
	decision := refuse(events.RefusedInvalid, "the entry names no account: expected 1 to 64 of A–Z a–z 0–9 _ -")
	postings, posting := grow(postings)
	posting.Kind = PostingKind(e.Kind)
	posting.Account = e.Account
	posting.At = microsOf(p.Time).time()
	posting.Refused = decision.Code
	return decision, postings
}

// schedule notes when time next changes a.
func (s *State) schedule(a *account, due micros) {
	if due == a.due {
		return
	}
	was := a.due
	a.due = due
	switch {
	case was == never:
		s.due.push(a)
	case due == never:
		s.due.remove(int(a.dueIndex))
	default:
		s.due.fix(int(a.dueIndex))
	}
}

// Balance returns the balance of account, and whether the ledger ever named it.
// The caller owns the result.
func (s *State) Balance(account string) (events.Balance, bool) {
	a, ok := s.accounts[account]
	if !ok {
		return events.Balance{}, false
	}
	return a.balance(), true
}

// Last returns where the last entry of account stands and its time in
// microseconds since 1970, as its Balance has them; zeros when the ledger never
// named it.
func (s *State) Last(account string) (sequence uint64, index int, at int64) {
	a, ok := s.accounts[account]
	if !ok {
		return 0, 0, 0
	}
	return a.clock.sequence, a.clock.index, int64(a.at)
}

// Account returns the settings of an account as they are in effect, with
// StartedAt and what waits in Next, and whether they were ever set. The caller must not change what they point to.
func (s *State) Account(id string) (events.Account, bool) {
	a, ok := s.accounts[id]
	if !ok || a.settings == nil {
		return events.Account{}, false
	}
	content := a.settings.content
	content.Next = a.waiting
	return content, true
}

// NextDue returns when time next changes some account, if it ever does. A plan
// that was just changed makes its accounts due at that time.
func (s *State) NextDue() (time.Time, bool) {
	if len(s.due) == 0 {
		return time.Time{}, false
	}
	return s.due[0].due.time(), true
}

// Due returns at most limit accounts that time changed at or before now,
// longest due first, then by account. A tick for each carries the change out.
func (s *State) Due(now time.Time, limit int) []string {
	var accounts []string
	for a := range s.due.inOrder() {
		if a.due > microsOf(now) || len(accounts) >= limit {
			break
		}
		accounts = append(accounts, a.id)
	}
	return accounts
}

// Len is how many accounts the ledger ever named.
func (s *State) Len() int { return len(s.named) }

// Accounts yields every account the ledger ever named, sorted.
func (s *State) Accounts() iter.Seq[string] {
	return func(yield func(string) bool) {
		sorted := slices.SortedFunc(slices.Values(s.named), func(a, b *account) int {
			return strings.Compare(a.id, b.id)
		})
		for _, a := range sorted {
			if !yield(a.id) {
				return
			}
		}
	}
}
