package ledger_test

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// effective are the terms of account with a version of its plan: 1, 2, 3 …
func (n *naive) effective(account events.Account, version int) (terms events.Terms) {
	if version > 0 {
		terms = n.plans[account.Plan][version-1].Terms
	}
	if account.Period != "" {
		terms.Period = account.Period
	}
	if account.Grant != nil {
		terms.Grant = account.Grant
	}
	if len(account.Thresholds) > 0 {
		terms.Thresholds = account.Thresholds
	}
	if account.HardStopAt != nil {
		terms.HardStopAt = account.HardStopAt
	}
	if account.Overage != "" {
		terms.Overage = account.Overage
	}
	if account.OverageLimit != nil {
		terms.OverageLimit = account.OverageLimit
	}
	if account.PreserveOverage != nil {
		terms.PreserveOverage = account.PreserveOverage
	}
	if len(account.Budgets) > 0 {
		terms.Budgets = account.Budgets
	}
	if account.TopUp != nil {
		terms.TopUp = account.TopUp
	}
	if account.CaptureMore != nil {
		terms.CaptureMore = account.CaptureMore
	}
	if terms.TopUp != nil && terms.TopUp.AtMostPerPeriod == 0 {
		terms.TopUp = nil
	}
	return terms
}

func (n *naive) set(a *naiveAccount, account events.Account, cause events.Cause) string {
	if account.StartedAt.IsZero() && a.settings != nil {
		account.StartedAt = a.settings.StartedAt
	}
	if account.StartedAt.IsZero() {
		account.StartedAt = a.now
	}
	if _, ok := n.plans[account.Plan]; account.Plan != "" && !ok {
		return "refused not_found"
	}
	version := len(n.plans[account.Plan])
	fresh := n.effective(account, version)
	isSoft := fresh.Overage == "soft"
	if fresh.Grant != nil && fresh.Period == "" || isSoft && fresh.OverageLimit == nil || account.OverageLimit != nil && !isSoft ||
		fresh.Period == "" && slices.ContainsFunc(fresh.Budgets, func(b events.Budget) bool { return b.Per == "period" }) {
		return "refused invalid"
	}
	change := account.Change
	account.Change = ""
	same := a.settings != nil && reflect.DeepEqual(*a.settings, account)
	waited := a.waiting
	a.waiting = nil
	if change == "period_end" && a.period != nil && !same {
		a.waiting = &account
		if waited != nil && reflect.DeepEqual(*waited, account) {
			return "unchanged"
		}
		return "applied"
	}
	if same && waited == nil {
		return "unchanged"
	}
	stays := a.settings != nil && a.settings.Plan == account.Plan && a.settings.StartedAt.Equal(account.StartedAt) &&
		a.terms.Period == fresh.Period && grantText(a.terms) == grantText(fresh)
	if !stays && a.period != nil {
		a.expireOfPeriod(cause)
		a.lastEnd, a.period = a.now, nil
	}
	a.settings, a.taken = &account, version
	a.retake(fresh)
	a.retakeBudgets(cause)
	if !stays {
		a.plan(fresh)
		if change == "now_prorated" {
			a.share = naiveShare(fresh.Period, account.StartedAt, a.now)
		}
		n.pass(a, cause)
		a.share = nil
	}
	return "applied"
}

// grantText says what a plan issues each period, "" for nothing.
func grantText(t events.Terms) string {
	if t.Grant == nil || t.Period == "" {
		return ""
	}
	return fmt.Sprint(t.Grant.Amount, planPriority(t), carryOf(t.Grant))
}

// plan sets when the next period starts under the given terms.
func (a *naiveAccount) plan(terms events.Terms) {
	a.starts = time.Time{}
	if terms.Period != "" {
		a.starts = latest(a.now, a.settings.StartedAt)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// retake makes terms those in effect; levels written alike keep their state.
func (a *naiveAccount) retake(terms events.Terms) {
	texts := terms.Thresholds
	if len(texts) == 0 {
		texts = []string{"20%"}
	}
	var levels []events.Level
	for _, text := range texts {
		levels = append(levels, events.Level{Kind: events.SignalLow, Threshold: text})
	}
	levels = append(levels, naiveStops(terms)...)
	for i := range levels {
		for _, old := range a.levels {
			if old.Kind == levels[i].Kind && old.Threshold == levels[i].Threshold {
				levels[i] = old
			}
		}
	}
	a.terms, a.levels = terms, levels
}

// naiveStops are the levels behind the thresholds.
func naiveStops(terms events.Terms) []events.Level {
	started := events.Level{Kind: events.SignalOverageStarted, Threshold: "0"}
	if terms.Overage == "postpaid" {
		return []events.Level{started}
	}
	if terms.Overage == "soft" && terms.OverageLimit != nil {
		return []events.Level{started, {Kind: events.SignalExhausted, Threshold: "-" + terms.OverageLimit.String()}}
	}
	if terms.HardStopAt == nil {
		return []events.Level{{Kind: events.SignalExhausted, Threshold: "0"}}
	}
	return []events.Level{{Kind: events.SignalExhausted, Threshold: terms.HardStopAt.String()}}
}

func (a *naiveAccount) isReached(l events.Level) bool {
	limit, isLimit := strings.CutPrefix(l.Threshold, "-")
	switch {
	case l.Kind == events.SignalOverageStarted:
		return a.overage() > 0
	case isLimit:
		return a.overage() >= events.MustCredits(limit)
	}
	return a.available() <= a.levelAt(l.Threshold)
}

func (a *naiveAccount) levelAt(text string) events.Credits {
	number, percent := strings.CutSuffix(text, "%")
	amount := events.MustCredits(number)
	if !percent {
		return amount
	}
	share := new(big.Rat).SetFrac64(int64(amount), int64(100*events.Credit))
	share.Mul(share, new(big.Rat).SetInt64(int64(a.base())))
	return events.Credits(new(big.Int).Quo(share.Num(), share.Denom()).Int64())
}

func (a *naiveAccount) evaluate(cause events.Cause) {
	for i := range a.levels {
		l := &a.levels[i]
		if reached := a.isReached(*l); a.began && reached != l.Reached {
			l.Reached, l.Since = reached, &cause
		}
	}
}
