package ledger_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

// naiveTopUp is one request, kept for ever.
type naiveTopUp struct {
	events.TopUpRequest
	cause events.Cause
	ended string // "" while it pends
}

// pendingTopUp returns the request that pends, or nil.
func (a *naiveAccount) pendingTopUp() *naiveTopUp {
	for _, u := range a.topUps {
		if u.ended == "" {
			return u
		}
	}
	return nil
}

func (a *naiveAccount) timeOutTopUp() {
	if u := a.pendingTopUp(); u != nil && !u.ExpiresAt.After(a.now) {
		u.ended = "expired"
	}
}

// mayTopUp returns the number of requests in the running period or month, its
// end, and when the cooldown ends.
func (a *naiveAccount) mayTopUp() (count int, end, cool time.Time) {
	start := time.Date(a.now.Year(), a.now.Month(), 1, 0, 0, 0, 0, time.UTC)
	end = start.AddDate(0, 1, 0)
	if a.period != nil {
		start, end = a.period.Start, a.period.End
	}
	for _, u := range a.topUps {
		if !u.RequestedAt.Before(start) {
			count++
		}
		cool = u.RequestedAt.Add(time.Duration(cmp.Or(a.terms.TopUp.Cooldown, events.Duration(10*time.Minute))))
	}
	return count, end, cool
}

func (a *naiveAccount) requestTopUp(cause events.Cause) {
	rule := a.terms.TopUp
	if rule == nil || !a.began || a.pendingTopUp() != nil || a.available() >= rule.Below {
		return
	}
	if count, _, cool := a.mayTopUp(); count >= rule.AtMostPerPeriod || cool.After(a.now) {
		return
	}
	a.topUps = append(a.topUps, &naiveTopUp{cause: cause, TopUpRequest: events.TopUpRequest{
		ID: fmt.Sprintf("topup:%s:%d", a.id, len(a.topUps)+1), Amount: rule.Amount, Below: rule.Below, RequestedAt: a.now,
		ExpiresAt: a.now.Add(time.Duration(cmp.Or(rule.Timeout, events.Duration(24*time.Hour)))),
	}})
}

// answer returns what a grant that names id does to it.
func (a *naiveAccount) answer(id string) string {
	switch u := a.pendingTopUp(); {
	case id == "":
		return ""
	case u == nil || u.ID != id:
		return " not_pending"
	default:
		u.ended = "answered"
		return " answered"
	}
}

func (a *naiveAccount) decline(id string) string {
	i := slices.IndexFunc(a.topUps, func(u *naiveTopUp) bool { return u.ID == id })
	switch {
	case i < 0:
		return "refused not_found"
	case a.topUps[i].ended == "declined":
		return "unchanged"
	case a.topUps[i].ended != "":
		return "refused " + a.topUps[i].ended
	}
	a.topUps[i].ended = "declined"
	return "applied"
}

func (a *naiveAccount) topUpBalance() *events.TopUpBalance {
	if u := a.pendingTopUp(); u != nil {
		return &events.TopUpBalance{State: events.TopUpPending, Request: &u.TopUpRequest, Since: &u.cause}
	}
	if a.terms.TopUp == nil {
		return nil
	}
	b := &events.TopUpBalance{State: events.TopUpAvailable}
	count, end, cool := a.mayTopUp()
	if cool.After(a.now) {
		b.NextAt = cool
	}
	if count >= a.terms.TopUp.AtMostPerPeriod {
		b.State, b.NextAt = events.TopUpNone, latest(end, cool)
	}
	return b
}

// someTopUp draws a rule, mostly one that is often at work.
func someTopUp(t *rapid.T) *events.TopUp {
	if rapid.Bool().Draw(t, "not topped up") {
		return nil
	}
	wait := rapid.SampledFrom([]events.Duration{0, events.Duration(time.Second), events.Duration(time.Minute), events.Duration(time.Hour), events.Duration(36 * time.Hour)})
	return &events.TopUp{
		Below: amount(t, 1), Amount: amount(t, 1), AtMostPerPeriod: rapid.SampledFrom([]int{0, 1, 2, 3, 100}).Draw(t, "at most"),
		Cooldown: wait.Draw(t, "cooldown"), Timeout: wait.Draw(t, "timeout"),
	}
}

// someTopUpID draws the id of one of the first requests, or of none.
func someTopUpID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"topup:ada:1", "topup:ada:1", "topup:ada:2", "topup:ada:3", "topup:ada:4", "topup:bob:1", "topup:ada:0", "invoice-7"}).Draw(t, "top-up")
}
