// Package holdcheck says whether what clients were told of holds can be true: it
// records what they ask and hear, and has porcupine look for an order of their
// requests, each between its call and its answer, in which an account that decides
// one after the other answers just that.
//
// It is for tests. It knows accounts that have nothing but one grant of whole
// credits, holds that do not expire meanwhile, and no budgets.
package holdcheck

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// IDs bounds the numbers of the holds of one account: 0 to IDs-1.
const IDs = 24

// Verb is what is asked of a hold.
type Verb string

// The verbs.
const (
	Place   Verb = "hold"
	Capture Verb = "capture"
	Release Verb = "release"
)

// Request is what a client asked.
type Request struct {
	Account string
	Verb    Verb
	Hold    int   // its number
	Amount  int64 // whole credits
}

// Answer is what it heard. The zero Answer was not heard: the request may have
// been decided at any time after it, or never.
type Answer struct {
	Known   bool
	Outcome string // applied, unchanged or the code of a refusal
	// Available and Held are the account's behind the request, in whole credits; of
	// a hold refused for lack of credits Available alone.
	Available, Held int64
}

// History is what clients asked and heard. It may be used by several goroutines.
type History struct {
	Funds int64 // whole credits of the grant of each account

	clock      atomic.Int64 // counts calls and answers
	mu         sync.Mutex
	operations []porcupine.Operation
	asked      map[string]int // by account, requests
	unheard    map[string]int // and those whose answers were not heard
}

// Ask has one client, told by its number, ask something, and records it.
func (h *History) Ask(client int, r Request, ask func() Answer) {
	call := h.clock.Add(1)
	heard := ask()
	op := porcupine.Operation{ClientId: client, Input: r, Call: call, Output: heard, Return: h.clock.Add(1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == nil {
		h.asked, h.unheard = map[string]int{}, map[string]int{}
	}
	h.asked[r.Account]++
	if !heard.Known {
		op.Return = math.MaxInt64
		h.unheard[r.Account]++
	}
	h.operations = append(h.operations, op)
}

// Len is how many requests were recorded, and how many answers were not heard.
func (h *History) Len() (requests, unheard int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.unheard {
		unheard += n
	}
	return len(h.operations), unheard
}

// Of is how many requests about one account were recorded so far, and how many
// answers were not heard. Both make the check of it slower, the latter much.
func (h *History) Of(account string) (requests, unheard int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[account], h.unheard[account]
}

// Check looks for an order of each account's requests that explains every answer,
// and returns the accounts that have none, and those for which the time did not
// suffice. Nobody may ask meanwhile.
func (h *History) Check(most time.Duration) (illegal, undecided []string) {
	began := time.Now()
	for account, operations := range h.byAccount() {
		left := max(most-time.Since(began), time.Millisecond) // 0 were no bound
		switch porcupine.CheckOperationsTimeout(h.model(), operations, left) {
		case porcupine.Illegal:
			illegal = append(illegal, account)
		case porcupine.Unknown:
			undecided = append(undecided, account)
		}
	}
	return illegal, undecided
}

func (h *History) byAccount() map[string][]porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := map[string][]porcupine.Operation{}
	for _, op := range h.operations {
		account := op.Input.(Request).Account
		parts[account] = append(parts[account], op)
	}
	return parts
}

// model is an account that decides one request after the other.
func (h *History) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return account{left: h.Funds} },
		Step: func(state, input, output any) (bool, any) {
			outcome, next := state.(account).decide(input.(Request))
			heard := output.(Answer)
			switch {
			case !heard.Known:
				return true, next
			case heard.Outcome != outcome:
				return false, next
			case outcome == insufficient:
				return heard.Available == next.left-next.held(), next
			case outcome == applied || outcome == unchanged:
				return heard.Available == next.left-next.held() && heard.Held == next.held(), next
			}
			return true, next
		},
	}
}

const (
	applied      = "applied"
	unchanged    = "unchanged"
	insufficient = "insufficient"
	open         = "open"
	captured     = "captured"
	released     = "released"
)

// account is one account as the rules have it: whole credits that are left of
// its grant, and its holds.
type account struct {
	left  int64
	holds [IDs]struct {
		state            string // "": never placed
		amount, captured int64
	}
}

func (a account) held() (sum int64) {
	for _, h := range a.holds {
		if h.state == open {
			sum += h.amount
		}
	}
	return sum
}

// decide is what the rules make of a request.
func (a account) decide(r Request) (string, account) {
	h := &a.holds[r.Hold]
	switch {
	case r.Verb == Place && h.state == "" && r.Amount > a.left-a.held():
		return insufficient, a
	case r.Verb == Place && h.state == "":
		h.state, h.amount = open, r.Amount
		return applied, a
	case r.Verb == Place && h.amount != r.Amount:
		return "conflict", a
	case r.Verb == Place:
		return unchanged, a
	case h.state == "":
		return "not_found", a
	case r.Verb == Capture && h.state == captured && h.captured == r.Amount, r.Verb == Release && h.state == released:
		return unchanged, a
	case h.state != open:
		return h.state, a
	case r.Verb == Release:
		h.state = released
		return applied, a
	case r.Amount > h.amount:
		return "invalid", a
	}
	h.state, h.captured = captured, r.Amount
	a.left -= r.Amount
	return applied, a
}
