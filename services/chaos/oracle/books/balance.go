package books

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Balance is what a balance says, as far as the books know it.
type Balance struct {
	Account   string          `json:"account"`
	Plan      string          `json:"plan"`
	Available Credits         `json:"available"`
	Held      Credits         `json:"held"`
	Overage   Credits         `json:"overage"`
	Granted   Credits         `json:"granted"`
	Remaining Credits         `json:"remaining"`
	Drawn     Credits         `json:"drawn"`
	Expired   Credits         `json:"expired"`
	Voided    Credits         `json:"voided"`
	Charged   Credits         `json:"charged"`
	Forgiven  Credits         `json:"forgiven"`
	Period    *PeriodBalance  `json:"period"`
	Grants    []GrantBalance  `json:"grants"`
	More      int             `json:"more_grants"`
	Holds     []HoldBalance   `json:"holds"`
	MoreHolds int             `json:"more_holds"`
	Budgets   []BudgetBalance `json:"budgets"`
	Levels    []LevelBalance  `json:"levels"`
	TopUp     *TopUpBalance   `json:"top_up"`
	Sequence  uint64          `json:"sequence"`
	Index     int             `json:"index"`
}

// PeriodBalance is the running period.
type PeriodBalance struct {
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Granted Credits   `json:"granted"`
}

// GrantBalance is an open grant.
type GrantBalance struct {
	ID        string    `json:"id"`
	Remaining Credits   `json:"remaining"`
	RecursAt  time.Time `json:"recurs_at"`
}

// HoldBalance is an open hold.
type HoldBalance struct {
	ID        string    `json:"id"`
	Amount    Credits   `json:"amount"`
	ExpiresAt time.Time `json:"expires_at"`
}

// BudgetBalance is one value of a budget.
type BudgetBalance struct {
	Budget   string    `json:"budget"`
	Scope    string    `json:"scope"`
	Per      string    `json:"per"`
	Limit    Credits   `json:"limit"`
	Spent    Credits   `json:"spent"`
	Held     Credits   `json:"held"`
	Exceeded bool      `json:"exceeded"`
	Since    *Place    `json:"since"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
}

// LevelBalance is one level.
type LevelBalance struct {
	Kind      string  `json:"kind"`
	Threshold string  `json:"threshold"`
	At        Credits `json:"at"`
	Reached   bool    `json:"reached"`
	Since     *Place  `json:"since"`
}

// listMax is how many grants, and how many holds, a balance lists.
const listMax = 100

// Order puts what a balance lists in no order of its own into one.
func (b *Balance) Order() {
	slices.SortFunc(b.Budgets, func(a, b BudgetBalance) int {
		return cmp.Or(cmp.Compare(a.Budget, b.Budget), cmp.Compare(a.Per, b.Per), cmp.Compare(a.Scope, b.Scope))
	})
}

// Balance is the account as its balance should show it, in the order of Order.
func (a *Account) Balance() Balance {
	b := Balance{
		Account: a.Name, Available: Credits(a.Available()), Held: Credits(a.Held()), Overage: Credits(a.overage),
		Granted: Credits(a.granted), Remaining: Credits(a.remaining()), Drawn: Credits(a.drawn), Expired: Credits(a.expired),
		Voided: Credits(a.voided), Charged: Credits(a.Charged), Forgiven: Credits(a.forgiven), TopUp: a.topUpBalance(), Sequence: a.At.Sequence, Index: a.At.Index,
	}
	if a.settings != nil {
		b.Plan = a.settings.Plan
	}
	if p := a.period; p != nil && p.running {
		b.Period = &PeriodBalance{instant(p.start), instant(p.end), Credits(p.granted)}
	}
	for _, g := range slices.Concat(a.active, a.resting, a.pending) {
		if len(b.Grants) == listMax {
			b.More++
			continue
		}
		b.Grants = append(b.Grants, GrantBalance{g.ID, Credits(g.remaining), instant(g.recurs)})
	}
	for _, h := range a.open {
		if len(b.Holds) == listMax {
			b.MoreHolds++
			continue
		}
		b.Holds = append(b.Holds, HoldBalance{h.ID, Credits(h.amount), instant(h.expires)})
	}
	for _, budget := range a.budgets {
		b.Budgets = append(b.Budgets, a.budgetBalances(budget)...)
	}
	for _, l := range a.levels {
		b.Levels = append(b.Levels, LevelBalance{l.Kind, l.Threshold, Credits(l.At), l.Reached, since(l.Since)})
	}
	lows := slices.IndexFunc(b.Levels, func(l LevelBalance) bool { return l.Kind != "low" })
	slices.SortStableFunc(b.Levels[:lows], func(a, b LevelBalance) int { return cmp.Compare(b.At, a.At) })
	b.Order()
	return b
}

// budgetBalances are the values of a budget of which something is spent, held or
// known.
func (a *Account) budgetBalances(b *budget) (all []BudgetBalance) {
	values := map[string]*spent{}
	for _, h := range a.open {
		if value := b.value(h.content.Work); value != "" {
			values[value] = &spent{}
		}
	}
	for value, s := range b.values {
		values[value] = s
	}
	name, _, _ := strings.Cut(b.Scope, ":")
	for value, s := range values {
		all = append(all, BudgetBalance{
			Budget: b.Scope, Scope: name + ":" + value, Per: b.Per, Limit: b.Limit, Spent: Credits(s.amount),
			Held: Credits(a.heldOf(b, value)), Exceeded: s.exceeded, Since: since(s.since), Start: instant(b.start), End: instant(b.end),
		})
	}
	return all
}

// since is nil for an entry that is not known.
func since(p Place) *Place {
	if p == (Place{}) {
		return nil
	}
	return &p
}
