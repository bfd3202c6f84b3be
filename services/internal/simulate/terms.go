package simulate

import (
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Terms are what an account's plan says that matters to prices. The zero value
// is an account without a plan.
type Terms struct {
	Plan   string
	Months int           // of a billing period, or
	Length time.Duration // its length; both 0: there is none
	Anchor time.Time     // when one of them starts
}

// TermsOf returns the terms of an account; plan is its plan, the zero value when
// it has none. The account's own period goes before the plan's. The error says
// that what stands there is no period.
func TermsOf(a events.Account, plan events.Plan) (Terms, error) {
	t := Terms{Plan: a.Plan, Anchor: a.StartedAt}
	period := a.Period
	if period == "" {
		period = plan.Period
	}
	if period == "" {
		return t, nil
	}
	var err error
	t.Months, t.Length, err = events.ParsePeriod(period)
	return t, err
}

// Period returns the billing period that contains at: the account's own, or the
// calendar month in UTC when it has none.
func (t Terms) Period(at time.Time) (start, end time.Time) {
	if t.Months == 0 && t.Length == 0 {
		return events.PeriodAround(1, 0, time.Unix(0, 0), at)
	}
	return events.PeriodAround(t.Months, t.Length, t.Anchor, at)
}

// AsksAccount reports whether what a card charges depends on more than the call:
// on the account's plan, or on what it used before.
func AsksAccount(card events.RateCard) bool {
	for _, r := range card.Rules {
		if r.Match.Plan != "" || r.Match.When != "" || len(r.Price.Multiply) > 0 || tiered(r) {
			return true
		}
	}
	return false
}

// Counts reports whether a card counts what accounts use.
func Counts(card events.RateCard) bool {
	for _, r := range card.Rules {
		if tiered(r) {
			return true
		}
	}
	return false
}

func tiered(r events.Rule) bool { return r.Price.Graduated != nil || r.Price.Volume != nil }
