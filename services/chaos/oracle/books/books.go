package books

import (
	"encoding/json"
	"slices"
	"time"
)

// Place is an entry in LEDGER.
type Place struct {
	Sequence uint64 `json:"sequence"`
	Index    int    `json:"index"`
}

// After reports whether p stands behind other.
func (p Place) After(other Place) bool {
	return p.Sequence > other.Sequence || p.Sequence == other.Sequence && p.Index > other.Index
}

// Decision is what became of a command: applied, unchanged, or refused with a
// code.
type Decision struct {
	Outcome string
	Code    string
}

var (
	applied   = Decision{Outcome: "applied"}
	unchanged = Decision{Outcome: "unchanged"}
)

func refused(code string) Decision { return Decision{"refused", code} }

// Books are all accounts and plans.
type Books struct {
	Accounts map[string]*Account
	// Corrects reports whether a correction of a debit may come; nil: of every one.
	// What others drew is not kept.
	Corrects func(*Debit) bool
	plans    map[string][]version
	stored   int64 // when the last plan was; never goes back
}

// version is a plan as it stood from an instant on.
type version struct {
	Plan
	since int64
}

// New returns books in which nothing is written.
func New() *Books {
	return &Books{Accounts: map[string]*Account{}, plans: map[string][]version{}, stored: ever}
}

// Apply writes one entry down, which LEDGER stored at a time. Entries come in
// the order of the ledger, each once. An entry of an unknown kind is refused.
func (b *Books) Apply(at Place, stored time.Time, e *Entry) Decision {
	switch {
	case e.Kind == "plan" && e.Plan != nil:
		return b.plan(*e.Plan, micros(stored))
	case e.Kind == "rate_card":
		return applied
	}
	a := b.Accounts[e.Account]
	if a == nil {
		a = newAccount(b, e.Account)
		b.Accounts[e.Account] = a
	}
	return a.apply(at, micros(stored), e)
}

func (b *Books) plan(p Plan, stored int64) Decision {
	b.stored = max(b.stored, stored)
	known := b.plans[p.Plan]
	if len(known) > 0 && same(known[len(known)-1].Plan, p) {
		return unchanged
	}
	b.plans[p.Plan] = append(known, version{p, b.stored})
	return applied
}

// same compares two contents as JSON writes them.
func same(a, b any) bool {
	left, leftErr := json.Marshal(a)
	right, rightErr := json.Marshal(b)
	return leftErr == nil && rightErr == nil && slices.Equal(left, right)
}

// apply writes an entry into one account: first time passes, then the entry
// itself happens.
func (a *Account) apply(at Place, stored int64, e *Entry) Decision {
	a.At, a.stored = at, stored
	from := a.now
	a.now = max(a.now, stored)
	a.follows, a.prorated = false, false
	a.catchUp(from)
	if e.Kind != "debit" {
		a.next = ever // whatever it is, it may bring something forward
	}
	decision := refused("invalid")
	switch {
	case e.Kind == "debit" && e.Debit != nil:
		decision = a.debit(e.Debit)
	case e.Kind == "grant" && e.Grant != nil:
		decision = a.grant(e.Grant)
	case e.Kind == "void" && e.Void != nil:
		decision = a.void(e.Void.Grant)
	case e.Kind == "hold" && e.Hold != nil:
		decision = a.hold(e.Hold)
	case e.Kind == "capture" && e.Capture != nil:
		decision = a.capture(e.Capture)
	case e.Kind == "release" && e.Release != nil:
		decision = a.release(e.Release.Hold)
	case e.Kind == "adjust" && e.Adjust != nil:
		decision = a.adjust(e.Adjust)
	case e.Kind == "correction" && e.Correction != nil:
		decision = a.correct(e.Correction)
	case e.Kind == "decline" && e.Decline != nil:
		decision = a.decline(e.Decline.TopUp)
	case e.Kind == "account" && e.Settings != nil:
		decision = a.set(*e.Settings)
	case e.Kind == "tick":
		decision = applied
	}
	a.evaluate()
	a.requestTopUp()
	return decision
}

// versionAt is the version of a plan in force at an instant; 0 is that of no plan.
func (b *Books) versionAt(plan string, at int64) (number int) {
	for i, v := range b.plans[plan] {
		if i == 0 || v.since <= at {
			number = i + 1
		}
	}
	return number
}
