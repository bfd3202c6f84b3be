package books

import (
	"fmt"
	"slices"
	"time"
)

// request is a request for a top-up.
type request struct {
	id          string
	rule        TopUp
	at, expires int64
	since       Place
	end         string // answered, declined or expired; empty while it pends
}

const (
	defaultCooldown = 10 * time.Minute
	defaultTimeout  = 24 * time.Hour
)

// asked is the request that pends, or nil.
func (a *Account) asked() *request {
	if n := len(a.requests); n > 0 && a.requests[n-1].end == "" {
		return a.requests[n-1]
	}
	return nil
}

// timeOut ends a request that has waited long enough.
func (a *Account) timeOut() {
	if r := a.asked(); r != nil && r.expires <= a.now {
		r.end = "expired"
	}
}

// answerTopUp ends the request that pends, if a grant names it.
func (a *Account) answerTopUp(id string) {
	if r := a.asked(); r != nil && r.id == id {
		r.end = "answered"
	}
}

func (a *Account) decline(id string) Decision {
	i := slices.IndexFunc(a.requests, func(r *request) bool { return r.id == id })
	switch {
	case i < 0:
		return refused("not_found")
	case a.requests[i].end == "declined":
		return unchanged
	case a.requests[i].end != "":
		return refused(a.requests[i].end)
	}
	a.requests[i].end = "declined"
	return applied
}

// topUpDue is when a request times out, or may be made.
func (a *Account) topUpDue() int64 {
	rule := a.terms.TopUp
	began := a.granted != 0 || a.Charged != 0 || a.touched
	switch {
	case a.asked() != nil:
		return a.asked().expires
	case rule == nil, !began, a.Available() >= int64(rule.Below):
		return never
	}
	return max(a.cooledDown(), a.allowedAgain())
}

// requestTopUp requests one, if that is due.
func (a *Account) requestTopUp() {
	if a.asked() != nil || a.topUpDue() > a.now {
		return
	}
	rule := a.terms.TopUp
	a.requests = append(a.requests, &request{
		id: fmt.Sprintf("topup:%s:%d", a.Name, len(a.requests)+1), rule: *rule, at: a.now, expires: a.now + wait(rule.Timeout, defaultTimeout), since: a.At,
	})
	a.cross(Crossing{"topup_requested", rule.Below.String()})
}

// wait reads a length of time, in microseconds.
func wait(text string, otherwise time.Duration) int64 {
	d, err := time.ParseDuration(text)
	if text == "" || err != nil || d == 0 {
		d = otherwise
	}
	return d.Microseconds()
}

// cooledDown is when the cooldown of the last request ends.
func (a *Account) cooledDown() int64 {
	if len(a.requests) == 0 {
		return ever
	}
	return a.requests[len(a.requests)-1].at + wait(a.terms.TopUp.Cooldown, defaultCooldown)
}

// allowedAgain is when there may be one more request in a period, or a month.
func (a *Account) allowedAgain() int64 {
	most := a.terms.TopUp.AtMostPerPeriod
	if len(a.requests) < most {
		return ever
	}
	first := a.requests[len(a.requests)-most].at // of the last that are allowed in one period
	if p := a.period; p != nil && p.running {
		if first < p.start {
			return ever
		}
		return p.end
	}
	t := instant(first)
	return micros(time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC))
}

// TopUpBalance is where requests stand.
type TopUpBalance struct {
	State   string        `json:"state"`
	Request *TopUpRequest `json:"request"`
	Since   *Place        `json:"since"`
	NextAt  time.Time     `json:"next_at"`
}

// TopUpRequest is the one that pends.
type TopUpRequest struct {
	ID          string    `json:"id"`
	Amount      Credits   `json:"amount"`
	Below       Credits   `json:"below"`
	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

func (a *Account) topUpBalance() *TopUpBalance {
	if r := a.asked(); r != nil {
		return &TopUpBalance{State: "pending", Since: since(r.since), Request: &TopUpRequest{
			ID: r.id, Amount: r.rule.Amount, Below: r.rule.Below, RequestedAt: instant(r.at), ExpiresAt: instant(r.expires),
		}}
	}
	if a.terms.TopUp == nil {
		return nil
	}
	b := &TopUpBalance{State: "available"}
	if next := max(a.cooledDown(), a.allowedAgain()); next > a.now {
		b.NextAt = instant(next)
	}
	if a.allowedAgain() > a.now {
		b.State = "none"
	}
	return b
}
