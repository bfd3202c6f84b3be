package schematest_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

// The generators draw values over the whole range that Drawdown may encode.

var (
	accounts = rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	names    = rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_.-]{0,63}`)
	grantIDs = rapid.StringMatching(`[A-Za-z0-9_.:-]{1,128}`)
	texts    = rapid.StringMatching(`[ -~é€😀]{1,40}`)
	indexes  = rapid.IntRange(0, 5000)
	sources  = rapid.SampledFrom([]string{"/s", "/services/chat", "https://example.com/a%20b?c=d#e", "urn:uuid:6e8bc430"})
	kinds    = rapid.SampledFrom([]events.EntryKind{events.EntryDebit, events.EntryGrant, events.EntryVoid, events.EntryAccount,
		events.EntryHold, events.EntryCapture, events.EntryRelease, events.EntryAdjust, events.EntryDecline, events.EntryCorrection,
		events.EntryPlan, events.EntryRateCard, events.EntryTick})
	signalKinds  = rapid.SampledFrom([]events.SignalKind{events.SignalLow, events.SignalExhausted, events.SignalRestored, events.SignalOverageStarted, events.SignalBudgetExceeded, events.SignalBudgetRestored, events.SignalTopUpRequested})
	grantSources = rapid.SampledFrom([]events.GrantSource{events.SourcePlan, events.SourcePrepaid, events.SourcePromo, events.SourceTopUp, events.SourceAdjustment})
	thresholds   = rapid.SampledFrom([]string{"20%", "0.5%", "100%", "0", "100", "0.000001"})
	levels       = rapid.OneOf(thresholds, rapid.SampledFrom([]string{"-50", "-0.000001"}))
	sequences    = rapid.Uint64Min(1)
)

func instant(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).UTC()
}

func maybe[T any](t *rapid.T, draw func(*rapid.T) T) *T {
	if !rapid.Bool().Draw(t, "present") {
		return nil
	}
	value := draw(t)
	return &value
}

func some[T any](t *rapid.T, least, most int, draw func(*rapid.T) T) []T {
	var values []T
	for range rapid.IntRange(least, most).Draw(t, "count") {
		values = append(values, draw(t))
	}
	return values
}

func credits(t *rapid.T) events.Credits { return events.Credits(rapid.Int64().Draw(t, "credits")) }

func amount(t *rapid.T) events.Credits {
	return events.Credits(rapid.Int64Range(1, int64(events.MaxCredits)).Draw(t, "amount"))
}

func quantity(t *rapid.T) events.Quantity {
	whole, places := rapid.Int64Range(0, 999_999).Draw(t, "whole"), rapid.Int64Range(0, 999_999_999_999).Draw(t, "places")
	return events.MustQuantity(fmt.Sprintf("%d.%012d", whole, places))
}

func positive(t *rapid.T) events.Quantity {
	return events.MustQuantity(fmt.Sprintf("%d.5", rapid.Int64Range(0, 999_999).Draw(t, "size")))
}

func usageData(t *rapid.T) events.UsageData {
	return events.UsageData{
		Operation: texts.Draw(t, "operation"), Status: rapid.SampledFrom([]int{0, 100, 200, 404, 599}).Draw(t, "status"),
		Project: rapid.OneOf(rapid.Just(""), texts).Draw(t, "project"), Key: rapid.OneOf(rapid.Just(""), texts).Draw(t, "key"),
		Quantities: rapid.MapOfN(names, rapid.Custom(quantity), 0, 4).Draw(t, "quantities"),
		Attributes: rapid.MapOfN(names, rapid.OneOf(rapid.Just(""), texts), 0, 4).Draw(t, "attributes"),
	}
}

func usage(t *rapid.T) events.Usage {
	u := events.Usage{Source: sources.Draw(t, "source"), ID: texts.Draw(t, "id"), Account: accounts.Draw(t, "account"), Time: instant(t), Data: usageData(t)}
	if rapid.Bool().Draw(t, "backfilled") {
		u.Backfill = instant(t)
	}
	return u
}

func cause(t *rapid.T) events.Cause {
	c := events.Cause{Sequence: sequences.Draw(t, "sequence"), Index: indexes.Draw(t, "index"), Kind: kinds.Draw(t, "kind"), At: instant(t)}
	if c.Kind == events.EntryDebit {
		c.Source, c.ID = sources.Draw(t, "source"), texts.Draw(t, "id")
	}
	return c
}

func signal(t *rapid.T) events.Signal {
	s := events.Signal{
		Account: accounts.Draw(t, "account"), Kind: signalKinds.Draw(t, "kind"), Threshold: levels.Draw(t, "threshold"), Scope: events.ScopeAccount,
		Balance: events.SignalBalance{Available: credits(t), Held: credits(t), Overage: credits(t)},
		Cause:   cause(t), Sequence: sequences.Draw(t, "sequence"), At: instant(t),
	}
	if s.Kind == events.SignalBudgetExceeded || s.Kind == events.SignalBudgetRestored {
		b := budget(t)
		s.Scope, s.Per, s.Threshold = b.Scope, b.Per, b.Limit.String()
		s.Exceeded = some(t, 0, 2, func(t *rapid.T) string { return texts.Draw(t, "exceeded") })
	}
	if s.Kind == events.SignalTopUpRequested {
		s.TopUp = new(topUpRequest(t))
	}
	return s
}

func topUp(t *rapid.T) events.TopUp {
	return events.TopUp{
		Below: amount(t), Amount: amount(t), AtMostPerPeriod: rapid.IntRange(0, 100).Draw(t, "at most"),
		Cooldown: events.Duration(rapid.Int64Range(0, int64(events.MaxTopUpWait)).Draw(t, "cooldown")),
		Timeout:  events.Duration(rapid.Int64Range(0, int64(events.MaxTopUpWait)).Draw(t, "timeout")),
	}
}

func topUpRequest(t *rapid.T) events.TopUpRequest {
	return events.TopUpRequest{
		ID: events.TopUpID(accounts.Draw(t, "account"), sequences.Draw(t, "request")), Amount: amount(t), Below: amount(t),
		RequestedAt: instant(t), ExpiresAt: instant(t),
	}
}

func topUpBalance(t *rapid.T) events.TopUpBalance {
	b := events.TopUpBalance{
		State:   rapid.SampledFrom([]events.TopUpState{events.TopUpNone, events.TopUpAvailable, events.TopUpPending}).Draw(t, "state"),
		Request: maybe(t, topUpRequest), Since: maybe(t, cause),
	}
	if rapid.Bool().Draw(t, "waits") {
		b.NextAt = instant(t)
	}
	return b
}

func budget(t *rapid.T) events.Budget {
	return events.Budget{Scope: names.Draw(t, "scope") + ":" + rapid.OneOf(rapid.Just("*"), texts).Draw(t, "value"), Limit: amount(t),
		Per: rapid.SampledFrom([]string{"day", "week", "month", "year", "period", "PT1H", "P14D"}).Draw(t, "per")}
}

func budgetBalance(t *rapid.T) events.BudgetBalance {
	u := budget(t)
	b := events.BudgetBalance{Scope: u.Scope, Budget: u.Scope, Per: u.Per, Limit: u.Limit, Spent: credits(t), Held: credits(t), Exceeded: rapid.Bool().Draw(t, "is exceeded"), Since: maybe(t, cause)}
	if rapid.Bool().Draw(t, "bordered") {
		b.Start, b.End = instant(t), instant(t)
	}
	return b
}

func priority(t *rapid.T) *uint8 {
	return maybe(t, func(t *rapid.T) uint8 { return rapid.Uint8().Draw(t, "priority") })
}

func grant(t *rapid.T) events.Grant {
	g := events.Grant{ID: grantIDs.Draw(t, "id"), Amount: amount(t), Priority: priority(t), Note: rapid.OneOf(rapid.Just(""), texts).Draw(t, "note"),
		CostBasis: maybe(t, func(t *rapid.T) events.CostBasis { return events.CostBasis{Currency: "USD", Price: quantity(t)} })}
	g.Rollover = maybe(t, rollover)
	if rapid.Bool().Draw(t, "recurs") {
		g.Recurrence = rapid.SampledFrom([]string{"day", "month", "PT1H30M", "P2W", "P3M"}).Draw(t, "recurrence")
	}
	if rapid.Bool().Draw(t, "timed") {
		g.EffectiveAt, g.ExpiresAt, g.Source = instant(t), instant(t), grantSources.Draw(t, "source")
		g.TopUp = grantIDs.Draw(t, "top-up")
	}
	return g
}

func rollover(t *rapid.T) events.Rollover {
	return events.Rollover{Min: amount(t), Max: amount(t)}
}

func terms(t *rapid.T) events.Terms {
	return events.Terms{
		Period: rapid.SampledFrom([]string{"day", "week", "month", "year", "PT1H", "PT1H30M", "PT90S", "P3M", "P1Y", "P0Y6M", "P2W", "P1DT12H"}).Draw(t, "period"),
		Grant: maybe(t, func(t *rapid.T) events.PlanGrant {
			return events.PlanGrant{Amount: amount(t), Priority: priority(t), Rollover: maybe(t, rollover)}
		}),
		Overage:         rapid.SampledFrom([]string{"", events.OverageHard, events.OverageSoft, events.OveragePostpaid}).Draw(t, "overage"),
		OverageLimit:    maybe(t, amount),
		PreserveOverage: maybe(t, func(t *rapid.T) bool { return rapid.Bool().Draw(t, "preserve") }),
		Thresholds:      some(t, 0, 3, func(t *rapid.T) string { return thresholds.Draw(t, "threshold") }),
		HardStopAt: maybe(t, func(t *rapid.T) events.Credits {
			return events.Credits(rapid.Int64Range(0, int64(events.MaxCredits)).Draw(t, "stop"))
		}),
		Budgets:     some(t, 0, 2, budget),
		CaptureMore: maybe(t, func(t *rapid.T) bool { return rapid.Bool().Draw(t, "more") }),
		TopUp:       maybe(t, topUp),
	}
}

func plan(t *rapid.T) events.Plan {
	return events.Plan{Plan: accounts.Draw(t, "plan"), Terms: terms(t)}
}

func account(t *rapid.T) events.Account {
	a := events.Account{ID: accounts.Draw(t, "id"), Terms: terms(t)}
	if rapid.Bool().Draw(t, "subscribed") {
		a.Plan, a.StartedAt = accounts.Draw(t, "plan"), instant(t)
	}
	a.Change = rapid.SampledFrom([]events.PlanChange{"", events.ChangeNow, events.ChangeNowProrated, events.ChangePeriodEnd}).Draw(t, "change")
	a.Next = maybe(t, func(t *rapid.T) events.Account { return events.Account{ID: a.ID, Terms: terms(t)} })
	return a
}

func price(t *rapid.T) events.Price {
	p := events.Price{Flat: maybe(t, quantity), Min: maybe(t, quantity),
		Package: maybe(t, func(t *rapid.T) events.Package {
			return events.Package{Quantity: names.Draw(t, "quantity"), Size: positive(t), Price: quantity(t)}
		}),
		PerUnit: some(t, 0, 2, func(t *rapid.T) events.PerUnit {
			u := events.PerUnit{Quantity: names.Draw(t, "quantity"), Price: quantity(t)}
			if rapid.Bool().Draw(t, "per") {
				u.Per = positive(t)
			}
			return u
		}),
		Graduated: maybe(t, tiered), Volume: maybe(t, tiered), Max: maybe(t, quantity),
		Matrix: maybe(t, func(t *rapid.T) events.Matrix {
			return events.Matrix{By: []string{"model", "region"}, Quantity: rapid.OneOf(rapid.Just(""), names).Draw(t, "quantity"), Default: maybe(t, quantity),
				Cells: some(t, 1, 3, func(t *rapid.T) events.Cell {
					return events.Cell{Values: []string{texts.Draw(t, "value"), ""}, Price: quantity(t)}
				})}
		}),
		Multiply: some(t, 0, 2, func(t *rapid.T) events.Multiplier {
			return events.Multiplier{When: texts.Draw(t, "when"), By: quantity(t)}
		}),
	}
	if p.Flat == nil && p.Min == nil && p.Package == nil && p.PerUnit == nil {
		p.Flat = new(events.Quantity)
	}
	return p
}

func tiered(t *rapid.T) events.Tiered {
	end := positive(t)
	return events.Tiered{Quantity: names.Draw(t, "quantity"), Tiers: []events.PriceTier{{UpTo: &end, Price: quantity(t), Per: positive(t)}, {Price: quantity(t)}}}
}

func example(t *rapid.T) events.Example {
	d := usageData(t)
	e := events.Example{Credits: amount(t), Event: events.ExampleEvent{
		Operation: d.Operation, Status: d.Status, Project: d.Project, Key: d.Key, Quantities: d.Quantities, Attributes: d.Attributes,
		Account: rapid.OneOf(rapid.Just(""), accounts).Draw(t, "account"), Plan: rapid.OneOf(rapid.Just(""), accounts).Draw(t, "plan"),
		Used: rapid.MapOfN(names, rapid.Custom(quantity), 0, 2).Draw(t, "used"),
	}}
	if rapid.Bool().Draw(t, "timed") {
		e.Event.Time = instant(t)
	}
	return e
}

func total(t *rapid.T) events.Total {
	parsed, err := events.ParseTotal(fmt.Sprintf("%d.%012d", rapid.Uint64Range(0, 1<<63).Draw(t, "whole"), rapid.Int64Range(0, 999_999_999_999).Draw(t, "places")))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func tier(t *rapid.T) events.Tier {
	return events.Tier{Part: rapid.SampledFrom([]events.TierPart{events.PartGraduated, events.PartVolume}).Draw(t, "part"),
		Quantity: names.Draw(t, "quantity"), Period: instant(t), Before: total(t), Amount: positive(t)}
}

func rateCard(t *rapid.T) events.RateCard {
	c := events.RateCard{Card: accounts.Draw(t, "card"), Version: indexes.Draw(t, "version"),
		Rounding: rapid.SampledFrom([]events.Rounding{"", events.RoundHalfUp, events.RoundHalfEven, events.RoundUp, events.RoundDown}).Draw(t, "rounding"),
		Rules: some(t, 1, 3, func(t *rapid.T) events.Rule {
			return events.Rule{Name: texts.Draw(t, "name"), Price: price(t), Examples: some(t, 0, 2, example), Match: events.Match{
				Plan: rapid.OneOf(rapid.Just(""), accounts).Draw(t, "plan"), When: rapid.OneOf(rapid.Just(""), texts).Draw(t, "when"),
				Operation:  rapid.SampledFrom([]string{"", "GET /**", "POST /v1/*"}).Draw(t, "operation"),
				Status:     rapid.SampledFrom([]string{"", "404", "5xx"}).Draw(t, "status"),
				Project:    rapid.SampledFrom([]string{"", "web"}).Draw(t, "project"),
				Attributes: rapid.MapOfN(names, texts, 0, 2).Draw(t, "attributes"),
			}}
		}), Examples: some(t, 0, 2, example)}
	if rapid.Bool().Draw(t, "dated") {
		c.EffectiveFrom = instant(t)
	}
	return c
}

func position(t *rapid.T) events.Position {
	return events.Position{Sequence: sequences.Draw(t, "sequence"), Index: indexes.Draw(t, "index"), StoredAt: instant(t)}
}

func debit(t *rapid.T) events.Debit {
	return events.Debit{Source: sources.Draw(t, "source"), ID: texts.Draw(t, "id"), Time: instant(t), Data: usageData(t), Position: position(t),
		Amount: amount(t), Card: events.DefaultCard, Version: 1 + indexes.Draw(t, "version"), Rule: texts.Draw(t, "rule"), Arithmetic: texts.Draw(t, "arithmetic"), Tiers: some(t, 0, 2, tier)}
}

func ledgerPlace(t *rapid.T, label string) events.LedgerPlace {
	return events.LedgerPlace{Sequence: sequences.Draw(t, label), Index: indexes.Draw(t, "index"), StoredAt: instant(t)}
}

func correction(t *rapid.T) *events.Correction {
	was, now := debit(t), debit(t)
	now.Source, now.ID = was.Source, was.ID
	c := &events.Correction{Source: was.Source, ID: was.ID, First: ledgerPlace(t, "first"), Corrects: ledgerPlace(t, "corrects"),
		Was: &was, Now: &now, Reason: rapid.OneOf(rapid.Just(""), texts).Draw(t, "reason")}
	switch rapid.IntRange(0, 2).Draw(t, "correction") {
	case 0:
		c.Was = nil
	case 1:
		c.Now = nil
	}
	return c
}

func entry(t *rapid.T) events.Entry {
	e := events.Entry{Kind: kinds.Draw(t, "kind"), Account: accounts.Draw(t, "account")}
	switch e.Kind {
	case events.EntryDebit:
		d := debit(t)
		e.Debit = &d
	case events.EntryGrant:
		g := grant(t)
		e.Grant = &g
	case events.EntryVoid:
		e.Void = &events.Void{Grant: grantIDs.Draw(t, "grant"), Reason: rapid.OneOf(rapid.Just(""), texts).Draw(t, "reason")}
	case events.EntryHold:
		e.Hold = &events.Hold{ID: grantIDs.Draw(t, "id"), Amount: amount(t), ExpiresIn: events.Duration(rapid.Int64Range(0, int64(events.MaxHoldLife)).Draw(t, "life")),
			Project: rapid.OneOf(rapid.Just(""), texts).Draw(t, "project"), Key: rapid.OneOf(rapid.Just(""), texts).Draw(t, "key"),
			Attributes: rapid.MapOfN(names, texts, 0, 2).Draw(t, "attributes")}
	case events.EntryCapture:
		e.Capture = &events.Capture{Hold: grantIDs.Draw(t, "hold"), Amount: amount(t)}
	case events.EntryAdjust:
		e.Adjust = &events.Adjustment{ID: grantIDs.Draw(t, "id"), Amount: credits(t), Reason: texts.Draw(t, "reason")}
	case events.EntryDecline:
		e.Decline = &events.Decline{TopUp: grantIDs.Draw(t, "top-up"), Reason: rapid.OneOf(rapid.Just(""), texts).Draw(t, "reason")}
	case events.EntryRelease:
		e.Release = &events.Release{Hold: grantIDs.Draw(t, "hold")}
	case events.EntryCorrection:
		e.Correction = correction(t)
	case events.EntryAccount:
		a := account(t)
		e.Settings = &a
	case events.EntryPlan:
		p := plan(t)
		e.Plan, e.Account = &p, ""
	case events.EntryRateCard:
		c := rateCard(t)
		e.RateCard, e.Account = &c, ""
	}
	return e
}

func chunk(t *rapid.T) events.Chunk {
	if rapid.IntRange(0, 9).Draw(t, "rewound") == 0 {
		s := &events.Span{Rewound: true}
		if rapid.Bool().Draw(t, "to a place") {
			s.Through = position(t)
		}
		return events.Chunk{Span: s}
	}
	c := events.Chunk{Entries: some(t, 1, 4, entry), Span: &events.Span{Through: position(t), Duplicates: indexes.Draw(t, "duplicates"), Rejected: indexes.Draw(t, "rejected")}}
	c.Span.Events = c.Span.Duplicates + c.Span.Rejected
	for _, e := range c.Entries {
		if e.Kind == events.EntryDebit {
			c.Span.Events++
		}
	}
	return c
}

func hold(t *rapid.T) events.HoldBalance {
	h := events.HoldBalance{ID: grantIDs.Draw(t, "id"), Amount: amount(t), ExpiresAt: instant(t), Captured: events.Credits(rapid.Int64Min(0).Draw(t, "captured")),
		Project: rapid.OneOf(rapid.Just(""), texts).Draw(t, "project"), Key: rapid.OneOf(rapid.Just(""), texts).Draw(t, "key"),
		State: rapid.SampledFrom([]events.HoldState{events.HoldOpen, events.HoldCaptured, events.HoldReleased, events.HoldExpired}).Draw(t, "state")}
	return h
}

func balance(t *rapid.T) events.Balance {
	return events.Balance{
		Account: accounts.Draw(t, "account"), Plan: rapid.OneOf(rapid.Just(""), accounts).Draw(t, "plan"),
		Available: credits(t), Held: credits(t), Overage: credits(t), Granted: credits(t), Remaining: credits(t), Drawn: credits(t),
		Expired: credits(t), Voided: credits(t), Charged: credits(t), Forgiven: credits(t),
		Period: maybe(t, func(t *rapid.T) events.Period {
			return events.Period{Start: instant(t), End: instant(t), Granted: credits(t)}
		}),
		Grants: some(t, 0, 3, func(t *rapid.T) events.GrantBalance {
			g := events.GrantBalance{ID: grantIDs.Draw(t, "id"), Amount: amount(t), Remaining: amount(t), Priority: rapid.Uint8().Draw(t, "priority"),
				EffectiveAt: instant(t), Source: grantSources.Draw(t, "source")}
			if rapid.Bool().Draw(t, "expires") {
				g.ExpiresAt, g.RecursAt = instant(t), instant(t)
			}
			return g
		}),
		Next: maybe(t, func(t *rapid.T) events.NextPlan {
			return events.NextPlan{Plan: rapid.OneOf(rapid.Just(""), accounts).Draw(t, "next"), At: instant(t)}
		}),
		MoreGrants: indexes.Draw(t, "more"), Holds: some(t, 0, 2, hold), MoreHolds: indexes.Draw(t, "more holds"),
		Budgets: some(t, 0, 2, budgetBalance), MoreBudgets: indexes.Draw(t, "more budgets"), TopUp: maybe(t, topUpBalance),
		Levels: some(t, 0, 3, func(t *rapid.T) events.Level {
			return events.Level{Kind: rapid.SampledFrom([]events.SignalKind{events.SignalLow, events.SignalExhausted, events.SignalOverageStarted}).Draw(t, "kind"),
				Threshold: levels.Draw(t, "threshold"), At: credits(t), Reached: rapid.Bool().Draw(t, "reached"), Since: maybe(t, cause)}
		}),
		Sequence: sequences.Draw(t, "sequence"), Index: indexes.Draw(t, "index"), At: instant(t),
	}
}

func decision(t *rapid.T) events.Decision {
	d := events.Decision{Sequence: sequences.Draw(t, "sequence"), TopUp: rapid.SampledFrom([]events.TopUpAnswer{"", events.TopUpAnswered, events.TopUpNotPending}).Draw(t, "top-up"), Version: indexes.Draw(t, "version"), Balance: maybe(t, balance), Hold: maybe(t, hold),
		Shortage: maybe(t, func(t *rapid.T) events.Shortage {
			return events.Shortage{Scope: "project:" + texts.Draw(t, "scope"), Available: credits(t), Required: amount(t), ResetsAt: instant(t)}
		}),
		Corrected: maybe(t, corrected),
		Outcome:   rapid.SampledFrom([]events.Outcome{events.Applied, events.Unchanged, events.Refused}).Draw(t, "outcome")}
	if d.Outcome == events.Refused {
		d.Code = rapid.SampledFrom([]string{events.RefusedConflict, events.RefusedNotFound, events.RefusedInvalid, events.RefusedAlreadyVoid,
			events.RefusedSpent, events.RefusedOverflow, events.RefusedInsufficient, events.RefusedCaptured, events.RefusedReleased, events.RefusedExpired, events.RefusedAnswered}).Draw(t, "code")
		d.Detail = texts.Draw(t, "detail")
	}
	return d
}

func corrected(t *rapid.T) events.Corrected {
	shares := func() []events.GrantShare {
		return some(t, 0, 2, func(t *rapid.T) events.GrantShare {
			return events.GrantShare{Grant: grantIDs.Draw(t, "grant"), Amount: amount(t), Left: credits(t)}
		})
	}
	return events.Corrected{Was: amount(t), Now: amount(t), Refilled: shares(), Lost: shares(), Drawn: shares(),
		Expired: credits(t), Voided: credits(t), Owed: credits(t), Forgiven: credits(t)}
}

func deadLetter(t *rapid.T) events.DeadLetter {
	return events.DeadLetter{
		ID: sequences.Draw(t, "id"), Detail: texts.Draw(t, "detail"), Subject: "usage.3." + accounts.Draw(t, "account"), Sequence: sequences.Draw(t, "sequence"),
		Reason: rapid.SampledFrom([]string{events.CodeMalformed, events.CodeMissing, events.CodeInvalid, events.CodeUnknownType, events.CodeAccountMismatch,
			events.CodeStray, events.CodeFuture, events.CodeTooLate, events.CodeTooLarge, events.CodeUnratable, events.CodeOverflow}).Draw(t, "reason"),
		Index: indexes.Draw(t, "index"), StoredAt: instant(t), Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		Header: rapid.MapOfN(names, rapid.SliceOfN(texts, 1, 2), 0, 3).Draw(t, "header"),
	}
}
