package ledger_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// item is one entry at its point of a random history.
type item struct {
	point ledger.Point
	entry events.Entry
}

// history draws a random run of entries: all kinds, three accounts, times that
// mostly move on by anything from nothing to months, and now and then back.
// Many begin with an account on a plan with periods and a grant, or on one that
// owes time and again, which entries drawn alone seldom come to.
func history(t *rapid.T) []item {
	steps := []time.Duration{0, 0, 0, time.Microsecond, time.Minute, time.Minute, 30 * time.Minute, time.Hour, 12 * time.Hour, 24 * time.Hour, 9 * 24 * time.Hour, 70 * 24 * time.Hour, -time.Hour}
	draw := entry
	var first []events.Entry
	kind := rapid.SampledFrom([]string{"any", "any", "busy", "in debt"}).Draw(t, "history")
	switch {
	case kind == "in debt":
		draw, steps, first = owing, steps[:7], inDebt(t)
	case kind == "busy":
		draw, steps = busy, steps[:9]
		first = []events.Entry{{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Terms: events.Terms{Budgets: withoutPeriod(someBudgets(t)), TopUp: someTopUp(t)}}}}
	case rapid.Bool().Draw(t, "on a plan"):
		first = onAPlan(t)
	}
	now := time.Date(2026, 1, 29, 0, 0, 0, 0, time.UTC)
	point := ledger.Point{Sequence: 1, Index: -1}
	items := make([]item, rapid.IntRange(1, 60).Draw(t, "entries"))
	for i := range items {
		if i > 0 && rapid.Bool().Draw(t, "same message") {
			point.Index++
		} else {
			point.Sequence, point.Index = point.Sequence+uint64(rapid.IntRange(1, 3).Draw(t, "gap")), 0
			now = now.Add(rapid.SampledFrom(steps).Draw(t, "later"))
			point.Time = now
		}
		items[i] = item{point: point, entry: draw(t, now)}
		if i < len(first) {
			items[i].entry = first[i]
		}
	}
	if kind == "in debt" || rapid.Bool().Draw(t, "with corrections") {
		corrections(items, func(label string, most int) int { return rapid.IntRange(0, most).Draw(t, label) })
	}
	return items
}

func inDebt(t *rapid.T) []events.Entry {
	terms := events.Terms{PreserveOverage: new(rapid.Bool().Draw(t, "preserve"))}
	terms.Period = rapid.SampledFrom([]string{"", "PT1H", "PT30M"}).Draw(t, "period of one in debt")
	return []events.Entry{{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Terms: terms}}}
}

// owing draws what makes an account owe and repay.
func owing(t *rapid.T, now time.Time) events.Entry {
	e := events.Entry{Account: "ada", Kind: rapid.SampledFrom([]events.EntryKind{
		events.EntryDebit, events.EntryDebit, events.EntryDebit, events.EntryGrant, events.EntryGrant, events.EntryVoid, events.EntryTick, events.EntryAdjust,
	}).Draw(t, "kind of one in debt")}
	few := events.Credits(rapid.IntRange(1, 5).Draw(t, "few")) * events.Credit
	id := fmt.Sprint("g", rapid.IntRange(0, 40).Draw(t, "id"))
	switch e.Kind {
	case events.EntryDebit:
		e.Debit = &events.Debit{Source: "test", ID: id, Amount: few}
	case events.EntryGrant:
		e.Grant = &events.Grant{ID: id, Amount: few}
		if rapid.Bool().Draw(t, "expires") {
			e.Grant.ExpiresAt = now.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 3 * time.Hour}).Draw(t, "life"))
		}
	case events.EntryVoid:
		e.Void = &events.Void{Grant: id}
	case events.EntryAdjust:
		e.Adjust = &events.Adjustment{ID: id, Amount: few - 3*events.Credit - 1, Reason: "test"}
	}
	return e
}

func onAPlan(t *rapid.T) []events.Entry {
	terms := someTerms(t)
	terms.Period = rapid.SampledFrom([]string{"day", "day", "PT1H", "month", "P2M"}).Draw(t, "period of the plan")
	terms.Grant = planGrant(t)
	return []events.Entry{
		{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "p", Terms: terms}},
		{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Plan: "p"}},
	}
}

func entry(t *rapid.T, now time.Time) events.Entry {
	account := rapid.SampledFrom([]string{"ada", "ada", "bob", "cy"}).Draw(t, "account")
	e := events.Entry{Account: account}
	e.Kind = rapid.SampledFrom([]events.EntryKind{
		events.EntryDebit, events.EntryDebit, events.EntryDebit, events.EntryGrant, events.EntryGrant,
		events.EntryVoid, events.EntryAdjust, events.EntryAccount, events.EntryPlan, events.EntryTick,
		events.EntryHold, events.EntryHold, events.EntryHold, events.EntryCapture, events.EntryRelease, events.EntryDecline,
	}).Draw(t, "kind")
	switch e.Kind {
	case events.EntryDebit:
		e.Debit = someDebit(t, now)
	case events.EntryDecline:
		e.Decline = &events.Decline{TopUp: someTopUpID(t)}
	case events.EntryGrant:
		e.Grant = &events.Grant{
			ID:     rapid.StringMatching("g[0-9a-f]").Draw(t, "grant"),
			Amount: amount(t, 1), EffectiveAt: near(t, now), ExpiresAt: near(t, now),
			Priority: rapid.SampledFrom([]*uint8{nil, new(uint8(0)), new(uint8(100)), new(uint8(255))}).Draw(t, "priority"),
		}
		if rapid.IntRange(0, 2).Draw(t, "renews") == 0 {
			e.Grant.Recurrence = rapid.SampledFrom([]string{"", "day", "PT1H", "PT12H", "week", "month", "P3D"}).Draw(t, "recurrence")
			e.Grant.Rollover = someRollover(t, e.Grant.Amount)
		}
		if rapid.IntRange(0, 2).Draw(t, "tops up") == 0 {
			e.Grant.TopUp = someTopUpID(t)
		}
		if !e.Grant.ExpiresAt.IsZero() && !e.Grant.ExpiresAt.After(e.Grant.EffectiveAt) {
			e.Grant.ExpiresAt = time.Time{}
		}
	case events.EntryAdjust:
		e.Adjust = &events.Adjustment{
			ID: rapid.StringMatching("a[0-3]").Draw(t, "adjustment"), Amount: amount(t, 1),
			Reason: rapid.SampledFrom([]string{"lost", "counted twice"}).Draw(t, "reason"),
		}
		if rapid.Bool().Draw(t, "charges") {
			e.Adjust.Amount = -e.Adjust.Amount
		}
	case events.EntryVoid:
		e.Void = &events.Void{Grant: rapid.OneOf(
			rapid.StringMatching("g[0-9a-f]"),
			rapid.StringMatching("adjust:a[0-3]"),
			rapid.SampledFrom([]string{"plan:p:2026-01-29T00:00:00Z", "plan:q:2026-01-29T00:00:00Z", "plan::2026-01-29T00:00:00Z", "plan:p:2026-01-30T00:00:00Z:rollover"}),
		).Draw(t, "void")}
	case events.EntryHold, events.EntryCapture, events.EntryRelease:
		holdEntry(t, &e)
	case events.EntryAccount:
		e.Settings = &events.Account{ID: account, Plan: rapid.SampledFrom([]string{"", "p", "p", "q"}).Draw(t, "plan")}
		if rapid.Bool().Draw(t, "starts") {
			e.Settings.StartedAt = rapid.SampledFrom([]time.Time{
				time.Date(2026, 1, 29, 0, 0, 0, 0, time.UTC), time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC), now.Add(36 * time.Hour),
			}).Draw(t, "started")
		}
		e.Settings.Change = rapid.SampledFrom([]events.PlanChange{"", "", events.ChangeNow, events.ChangeNowProrated, events.ChangePeriodEnd, events.ChangePeriodEnd}).Draw(t, "change")
		if rapid.IntRange(0, 2).Draw(t, "own") == 0 {
			e.Settings.Terms = someTerms(t)
		}
	case events.EntryPlan:
		e.Account = ""
		e.Plan = &events.Plan{Plan: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "plan"), Terms: someTerms(t)}
		if e.Plan.Period == "" {
			e.Plan.Grant, e.Plan.Budgets = nil, withoutPeriod(e.Plan.Budgets)
		}
	}
	return e
}

func amount(t *rapid.T, least int64) events.Credits {
	return events.Credits(rapid.OneOf(rapid.Int64Range(least, 3), rapid.Int64Range(1, 20e6), rapid.SampledFrom([]int64{5e6, 10e6})).Draw(t, "amount"))
}

// near is a round time around now, so that instants coincide, or no time.
func near(t *rapid.T, now time.Time) time.Time {
	if rapid.Bool().Draw(t, "absent") {
		return time.Time{}
	}
	hours := rapid.SampledFrom([]int{-24, 0, 1, 12, 24, 48, 240, 744, 2000}).Draw(t, "hours")
	return now.Truncate(12 * time.Hour).Add(time.Duration(hours) * time.Hour)
}

func someTerms(t *rapid.T) events.Terms {
	terms := events.Terms{
		Period: rapid.SampledFrom([]string{"", "day", "week", "month", "month", "year", "PT1H", "PT1H30M", "P2M", "P3D"}).Draw(t, "period"),
		Thresholds: rapid.SampledFrom([][]string{
			nil, {"20%"}, {"20%", "5%", "3"}, {"3", "33.3%", "100%"}, {"50%", "20%"},
		}).Draw(t, "thresholds"),
	}
	if rapid.Bool().Draw(t, "grants") {
		terms.Grant = planGrant(t)
	}
	if rapid.Bool().Draw(t, "stops") {
		terms.HardStopAt = new(events.Credits(rapid.Int64Range(0, 4e6).Draw(t, "hard stop")))
	}
	terms.Overage = rapid.SampledFrom([]string{"", "", "hard", "soft", "soft", "postpaid"}).Draw(t, "overage")
	if terms.Overage == "soft" {
		terms.OverageLimit = new(events.Credits(rapid.SampledFrom([]int64{1, 3e6, 9e6}).Draw(t, "overage limit")))
	}
	if rapid.Bool().Draw(t, "says what becomes of overage") {
		terms.PreserveOverage = new(rapid.Bool().Draw(t, "preserve"))
	}
	terms.Budgets = someBudgets(t)
	terms.TopUp = someTopUp(t)
	terms.CaptureMore = rapid.SampledFrom([]*bool{nil, nil, new(true), new(false)}).Draw(t, "capture more")
	return terms
}

func planGrant(t *rapid.T) *events.PlanGrant {
	g := &events.PlanGrant{Amount: amount(t, 1), Priority: rapid.SampledFrom([]*uint8{nil, new(uint8(50))}).Draw(t, "plan priority")}
	g.Rollover = someRollover(t, g.Amount)
	return g
}

func someRollover(t *rapid.T, amount events.Credits) *events.Rollover {
	if rapid.Bool().Draw(t, "lost at the end") {
		return nil
	}
	most := events.Credits(rapid.SampledFrom([]int64{1, 3e6, 8e6, 30e6}).Draw(t, "rollover max"))
	return &events.Rollover{Min: events.Credits(rapid.Int64Range(0, int64(min(most, amount))).Draw(t, "rollover min")), Max: most}
}
