package catalog

import (
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	thresholdsMax = 16
	periodMax     = 10 * 366 * 24 * time.Hour // of an ISO 8601 duration
)

const (
	aPeriod    = events.PeriodForm
	anAmount   = "credits above 0 such as \"10000\""
	aMaximum   = "the most credits that are carried over, above 0"
	aThreshold = "a percentage above 0 up to \"100%\", with at most 2 decimal places, or credits of 0 or more"
)

var (
	termsKnown = []string{"period", "grant", "overage", "overage_limit", "preserve_overage", "thresholds", "hard_stop_at", "capture_more", "budgets", "top_up"}
)

func (r *reader) plan(n ast.Node) events.Plan {
	var plan events.Plan
	o := field{r, n, ""}.open("a plan", append([]string{"plan"}, termsKnown...), nil)
	o.required("plan", aName, func(f field) { plan.Plan = f.name() })
	plan.Terms = o.terms()
	o.softOrNoLimit(plan.Terms)
	if _, ok := o.fields["period"]; !ok {
		o.optional("grant", func(f field) {
			f.refuse("found a grant in a plan without a period; expected a period, at whose start it is issued")
		})
		o.optional("budgets", func(f field) { f.refuseBudgetsPerPeriod(plan.Budgets) })
	}
	return plan
}

func (r *reader) account(n ast.Node) events.Account {
	var account events.Account
	o := field{r, n, ""}.open("an account", append([]string{"id", "plan", "started_at", "change"}, termsKnown...), nil)
	o.optional("id", func(f field) {
		const expected = "an account: 1 to 64 of A–Z a–z 0–9 _ -"
		id, ok := f.text(expected, events.MaxStringBytes)
		if ok && !events.ValidAccount(id) {
			f.refuse("found %s; expected %s", clip(id), expected)
		}
		account.ID = id
	})
	o.optional("plan", func(f field) { account.Plan = f.name() })
	o.optional("started_at", func(f field) { account.StartedAt = f.time() })
	o.optional("change", func(f field) {
		s, _ := f.oneOf(string(events.ChangeNow), string(events.ChangeNowProrated), string(events.ChangePeriodEnd))
		account.Change = events.PlanChange(s)
	})
	account.Terms = o.terms()
	return account
}

func (o object) terms() events.Terms {
	var terms events.Terms
	o.optional("period", func(f field) { terms.Period = f.period() })
	o.optional("grant", func(f field) { terms.Grant = f.planGrant() })
	o.optional("overage", func(f field) {
		terms.Overage, _ = f.oneOf(events.OverageHard, events.OverageSoft, events.OveragePostpaid)
	})
	o.optional("overage_limit", func(f field) { terms.OverageLimit = f.overageLimit(terms.Overage) })
	o.optional("preserve_overage", func(f field) { terms.PreserveOverage = f.flag() })
	o.optional("thresholds", func(f field) { terms.Thresholds = f.thresholds() })
	o.optional("hard_stop_at", func(f field) {
		if credits, ok := f.amount("credits of 0 or more", 0); ok {
			terms.HardStopAt = &credits
		}
	})
	o.optional("capture_more", func(f field) { terms.CaptureMore = f.flag() })
	o.optional("budgets", func(f field) { terms.Budgets = f.budgets() })
	o.optional("top_up", func(f field) { terms.TopUp = f.topUp() })
	return terms
}

func (f field) period() string {
	s, ok := f.text(aPeriod, events.MaxStringBytes)
	if !ok {
		return ""
	}
	if _, _, err := events.ParsePeriod(s); err != nil {
		f.refuse("found %s; expected %s", clip(s), aPeriod)
	}
	return s
}

func (f field) planGrant() *events.PlanGrant {
	var grant events.PlanGrant
	o := f.open("a grant", []string{"amount", "priority", "rollover"}, []string{"recurrence"})
	o.required("amount", anAmount, func(f field) { grant.Amount, _ = f.amount(anAmount, 1) })
	o.optional("priority", func(f field) {
		const expected = "a priority from 0 to 255"
		s, ok := f.number(expected)
		if !ok {
			return
		}
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			f.refuse("found %s; expected %s", clip(s), expected)
			return
		}
		priority := uint8(n)
		grant.Priority = &priority
	})
	o.optional("rollover", func(f field) { grant.Rollover = f.rollover(grant.Amount) })
	return &grant
}

// rollover reads what is carried of a grant of amount, 0 for one that was
// refused.
func (f field) rollover(amount events.Credits) *events.Rollover {
	var rollover events.Rollover
	o := f.open("a rollover", []string{"min", "max"}, nil)
	o.required("max", aMaximum, func(f field) { rollover.Max, _ = f.amount(aMaximum, 1) })
	o.optional("min", func(f field) {
		least, ok := f.amount("credits of 0 or more", 0)
		switch {
		case !ok:
		case rollover.Max > 0 && least > rollover.Max:
			f.refuse("found %s; expected at most max, %s", least, rollover.Max)
		case amount > 0 && least > amount:
			f.refuse("found %s; expected at most the grant's amount, %s", least, amount)
		}
		rollover.Min = least
	})
	return &rollover
}

// amount reads credits from least to events.MaxCredits.
func (f field) amount(expected string, least events.Credits) (events.Credits, bool) {
	s, ok := f.number(expected)
	if !ok {
		return 0, false
	}
	credits, err := events.ParseCredits(s)
	if err != nil || credits < least || credits > events.MaxCredits {
		f.refuse("found %s; expected %s, with at most 6 decimal places and at most %s", clip(s), expected, events.MaxCredits)
		return 0, false
	}
	return credits, true
}

// overageLimit reads the limit beside an overage that is "" when it is absent.
func (f field) overageLimit(overage string) *events.Credits {
	limit, ok := f.amount("the most credits that may be owed, above 0", 1)
	if !ok {
		return nil
	}
	if overage == events.OverageHard || overage == events.OveragePostpaid {
		f.refuse("found a limit beside overage: %s; expected one beside overage: %s alone", overage, events.OverageSoft)
	}
	return &limit
}

// softOrNoLimit refuses a plan whose overage and limit do not go together. In
// an account, one of them may be the plan's.
func (o object) softOrNoLimit(terms events.Terms) {
	_, limited := o.fields["overage_limit"]
	switch {
	case terms.Overage == events.OverageSoft && !limited:
		o.required("overage_limit", "the most credits that may be owed, as overage is soft", func(field) {})
	case limited && o.fields["overage"].node == nil:
		o.fields["overage_limit"].refuse("found a limit in a plan whose overage is hard; expected overage: %s beside it", events.OverageSoft)
	}
}

func (f field) flag() *bool {
	value, ok := f.node.(*ast.BoolNode)
	if !ok {
		f.refuse("found %s; expected true or false", kind(f.node))
		return nil
	}
	return &value.Value
}

func (f field) thresholds() []string {
	var thresholds []string
	seen := map[string]bool{}
	for _, element := range f.list("thresholds", thresholdsMax) {
		s, ok := element.number(aThreshold)
		if !ok {
			continue
		}
		same, ok := threshold(s)
		switch {
		case !ok:
			element.refuse("found %s; expected %s", clip(s), aThreshold)
		case seen[same]:
			element.refuse("found the threshold %s twice; expected it once", clip(s))
		}
		seen[same] = true
		thresholds = append(thresholds, s)
	}
	return thresholds
}

// threshold checks a threshold and returns it in one form for what is equal.
func threshold(s string) (same string, ok bool) {
	percent, isPercent := strings.CutSuffix(s, "%")
	credits, err := events.ParseCredits(percent)
	if !isPercent {
		return credits.String(), err == nil && credits >= 0 && credits <= events.MaxCredits
	}
	const hundredth = events.Credit / 100
	return credits.String() + "%", err == nil && credits > 0 && credits <= 100*events.Credit && credits%hundredth == 0
}
