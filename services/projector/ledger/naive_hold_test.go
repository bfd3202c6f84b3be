package ledger_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

type naiveHold struct {
	events.HoldBalance
	content events.Hold
}

// known returns the hold of that id, unless it is forgotten.
func (a *naiveAccount) known(id string) *naiveHold {
	for _, h := range a.holds {
		if h.ID == id && (h.State == events.HoldOpen || h.ExpiresAt.Add(time.Hour).After(a.now)) {
			return h
		}
	}
	return nil
}

func (a *naiveAccount) held() (sum events.Credits) {
	for _, h := range a.holds {
		if h.State == events.HoldOpen {
			sum += h.Amount
		}
	}
	return sum
}

func (a *naiveAccount) openHolds() (open []events.HoldBalance, more int) {
	for _, h := range a.holds {
		if h.State == events.HoldOpen {
			open = append(open, h.HoldBalance)
		}
	}
	slices.SortStableFunc(open, func(g, h events.HoldBalance) int { return g.ExpiresAt.Compare(h.ExpiresAt) })
	if more = len(open) - events.BalanceHoldsMax; more > 0 {
		return open[:events.BalanceHoldsMax], more
	}
	return open, 0
}

func (n *naive) place(a *naiveAccount, h events.Hold) string {
	if h.ExpiresIn == 0 {
		h.ExpiresIn = events.Duration(time.Minute)
	}
	if known := a.known(h.ID); known != nil {
		if cmp.Equal(known.content, h) {
			return "unchanged"
		}
		return "refused conflict"
	}
	if lack := n.lack(a, h); lack != "" {
		return "refused insufficient " + lack
	}
	a.holds = append(a.holds, &naiveHold{content: h, HoldBalance: events.HoldBalance{
		ID: h.ID, Amount: h.Amount, ExpiresAt: a.now.Add(time.Duration(h.ExpiresIn)), State: events.HoldOpen, Project: h.Project, Key: h.Key,
	}})
	return "applied"
}

func (a *naiveAccount) capture(c events.Capture) string {
	h := a.known(c.Hold)
	switch more := a.terms.CaptureMore; {
	case h == nil:
		return "refused not_found"
	case h.State == events.HoldCaptured && h.Captured == c.Amount:
		return "unchanged"
	case h.State != events.HoldOpen:
		return "refused " + string(h.State)
	case c.Amount > h.Amount && (more == nil || !*more):
		return "refused invalid"
	}
	h.State, h.Captured = events.HoldCaptured, c.Amount
	a.charges = append(a.charges, c.Amount)
	work := workOf(h.content)
	work.amount = c.Amount
	a.work = append(a.work, work)
	a.cover()
	return "applied"
}

func (a *naiveAccount) release(id string) string {
	h := a.known(id)
	switch {
	case h == nil:
		return "refused not_found"
	case h.State == events.HoldReleased:
		return "unchanged"
	case h.State != events.HoldOpen:
		return "refused " + string(h.State)
	}
	h.State = events.HoldReleased
	return "applied"
}

// busy draws the entries of one account that is at work: it mostly places holds
// and ends them.
func busy(t *rapid.T, now time.Time) events.Entry {
	e := events.Entry{Account: "ada", Kind: rapid.SampledFrom([]events.EntryKind{
		events.EntryHold, events.EntryHold, events.EntryHold, events.EntryCapture, events.EntryRelease, events.EntryDebit, events.EntryGrant, events.EntryDecline,
	}).Draw(t, "kind")}
	switch e.Kind {
	case events.EntryDebit:
		e.Debit = someDebit(t, now)
	case events.EntryGrant:
		e.Grant = &events.Grant{ID: rapid.StringMatching("g[0-9a-f]").Draw(t, "grant"), Amount: amount(t, 1)}
		if rapid.Bool().Draw(t, "tops up") {
			e.Grant.TopUp = someTopUpID(t)
		}
	case events.EntryDecline:
		e.Decline = &events.Decline{TopUp: someTopUpID(t)}
	default:
		holdEntry(t, &e)
	}
	return e
}

// someDebit draws a debit of work that budgets may count.
func someDebit(t *rapid.T, now time.Time) *events.Debit {
	d := &events.Debit{Source: "test", ID: fmt.Sprint(now), Amount: amount(t, 0)}
	d.Data.Project, d.Data.Key, d.Data.Attributes = work(t)
	return d
}

// holdEntry draws a command about one of a few holds.
func holdEntry(t *rapid.T, e *events.Entry) {
	id := rapid.StringMatching("h[0-3]").Draw(t, "hold")
	switch e.Kind {
	case events.EntryHold:
		e.Hold = &events.Hold{
			ID: id, Amount: amount(t, 1),
			ExpiresIn: events.Duration(rapid.SampledFrom([]time.Duration{0, 0, time.Minute, 30 * time.Minute, 12 * time.Hour, 24 * time.Hour}).Draw(t, "life")),
		}
		e.Hold.Project, e.Hold.Key, e.Hold.Attributes = work(t)
	case events.EntryCapture:
		e.Capture = &events.Capture{Hold: id, Amount: amount(t, 1)}
	case events.EntryRelease:
		e.Release = &events.Release{Hold: id}
	}
}

// work draws what a hold or a call is for.
func work(t *rapid.T) (project, key string, attributes map[string]string) {
	project = rapid.SampledFrom([]string{"", "", "p1", "p2"}).Draw(t, "project")
	key = rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "key")
	if team := rapid.SampledFrom([]string{"", "", "t1", "t2"}).Draw(t, "team"); team != "" {
		attributes = map[string]string{"team": team}
	}
	return project, key, attributes
}
