package simulation

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// begin sets what the accounts live by: a card, a plan whose grants expire soon,
// and levels to cross.
func (l *load) begin() {
	c := card()
	l.append(events.Entry{Kind: events.EntryRateCard, RateCard: &c})
	l.append(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "minute", Terms: events.Terms{
		Period: "PT1M", Grant: &events.PlanGrant{Amount: events.MustCredits("4")}, Thresholds: []string{"50%", "1"},
		Budgets: []events.Budget{{Scope: "project:*", Limit: 3 * events.Credit, Per: "PT1M"}, {Scope: "key:k1", Limit: 2 * events.Credit, Per: "period"}},
		TopUp: &events.TopUp{
			Below: 3 * events.Credit / 2, Amount: 2 * events.Credit, AtMostPerPeriod: 2, Cooldown: events.Duration(2 * time.Second), Timeout: events.Duration(20 * time.Second),
		},
	}}})
	l.append(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "owing", Terms: events.Terms{
		Period: "PT90S", Grant: &events.PlanGrant{Amount: events.MustCredits("5"), Rollover: &events.Rollover{Min: events.Credit, Max: 3 * events.Credit}},
		Overage: events.OverageSoft, OverageLimit: new(2 * events.Credit), PreserveOverage: new(true), Thresholds: []string{"50%", "1"},
		Budgets:     []events.Budget{{Scope: "size:*", Limit: 4 * events.Credit, Per: "PT1M"}, {Scope: "project:*", Limit: 5 * events.Credit, Per: "PT1M"}},
		CaptureMore: new(true),
	}}})
	for i, id := range l.accounts {
		settings := events.Account{ID: id, Terms: events.Terms{Thresholds: []string{"5", "2"}}}
		switch i % 4 {
		case 1:
			settings = events.Account{ID: id, Plan: "owing"}
		case 0, 2:
			settings = events.Account{ID: id, Plan: "minute"}
		}
		l.append(events.Entry{Kind: events.EntryAccount, Account: id, Settings: &settings})
	}
}

// command appends a command about credits, as the gateway does: some are sent
// again, because their answer was lost on its way.
func (l *load) command() {
	switch n := l.w.rng.IntN(26); {
	case n >= 23:
		l.correct()
	case n >= 20:
		l.topUp()
	case n < 5 || len(l.grants) == 0:
		l.grants = append(l.grants, l.grant(pick(l.w, l.accounts)))
		l.append(l.grants[len(l.grants)-1])
	case n < 6:
		l.append(pick(l.w, l.grants))
	case n < 8:
		e := pick(l.w, l.grants)
		l.append(events.Entry{Kind: events.EntryVoid, Account: e.Account, Void: &events.Void{Grant: e.Grant.ID}})
	case n < 12 || n < 16 && len(l.holds) == 0:
		account := pick(l.w, l.accounts)
		for range 1 + l.w.rng.IntN(3) { // some race for the last credits
			l.holds = append(l.holds, l.hold(account))
			l.append(l.holds[len(l.holds)-1])
		}
	case n < 16:
		l.append(l.endHold(pick(l.w, l.holds)))
	case n < 18:
		l.adjust()
	default:
		l.set(pick(l.w, l.accounts))
	}
}

// set changes the plan of an account, or gives it terms of its own.
func (l *load) set(id string) {
	settings := events.Account{ID: id}
	if l.w.chance(2) {
		settings.Plan = pick(l.w, []string{"minute", "owing"})
		settings.Change = pick(l.w, []events.PlanChange{events.ChangeNow, events.ChangeNowProrated, events.ChangePeriodEnd})
	} else {
		settings.Thresholds = []string{fmt.Sprint(l.w.rng.IntN(10)), "1"}
		settings.HardStopAt = new(events.Credits(l.w.rng.IntN(3)) * events.Credit)
		settings.Budgets = []events.Budget{{Scope: "project:web", Limit: 2 * events.Credit, Per: "PT1M"}}
	}
	l.append(events.Entry{Kind: events.EntryAccount, Account: id, Settings: &settings})
}

// hold makes a hold up: some are long, some are of more than there is, some have
// the id of another.
func (l *load) hold(account string) events.Entry {
	c := l.call()
	h := events.Hold{ID: fmt.Sprintf("h%d", len(l.holds)), Amount: events.Credits(1+l.w.rng.IntN(6)) * events.Credit / 2, Project: c.project, Key: c.key}
	if c.size != "" {
		h.Attributes = map[string]string{"size": c.size}
	}
	if l.w.chance(8) && len(l.holds) > 0 {
		e := pick(l.w, l.holds)
		account, h.ID = e.Account, e.Hold.ID
	}
	if l.w.chance(2) {
		h.ExpiresIn = events.Duration(1+l.w.rng.IntN(3000)) * events.Duration(time.Millisecond)
	}
	return events.Entry{Kind: events.EntryHold, Account: account, Hold: &h}
}

// endHold captures or releases a hold, or what is none.
func (l *load) endHold(e events.Entry) events.Entry {
	account, id := e.Account, e.Hold.ID
	if l.w.chance(10) {
		account = pick(l.w, l.accounts)
	}
	if l.w.chance(3) {
		return events.Entry{Kind: events.EntryRelease, Account: account, Release: &events.Release{Hold: id}}
	}
	return events.Entry{Kind: events.EntryCapture, Account: account, Capture: &events.Capture{
		Hold: id, Amount: e.Hold.Amount * events.Credits(1+l.w.rng.IntN(5)) / 4,
	}}
}

// adjust corrects an account by hand, now and then as it was done before.
func (l *load) adjust() {
	id := pick(l.w, l.accounts)
	amount := events.Credits(l.w.rng.IntN(7)-3) * events.Credit / 2
	e := events.Entry{Kind: events.EntryAdjust, Account: id, Adjust: &events.Adjustment{ID: fmt.Sprintf("a%d", len(l.adjusted)), Amount: amount, Reason: "because"}}
	switch {
	case l.w.chance(4) && len(l.adjusted) > 0:
		e = pick(l.w, l.adjusted)
	case l.w.chance(4) && len(l.adjusted) > 0:
		before := pick(l.w, l.adjusted)
		e.Account, e.Adjust.ID = before.Account, before.Adjust.ID
	}
	if e.Adjust.Amount == 0 {
		e.Adjust.Amount = events.Credit
	}
	l.adjusted = append(l.adjusted, e)
	l.append(e)
}

// grant makes a grant up: some begin later, some expire soon, some have the id
// of another.
func (l *load) grant(account string) events.Entry {
	now := time.Now().UTC().Truncate(time.Second)
	g := events.Grant{ID: fmt.Sprintf("g%d", len(l.grants)), Amount: events.Credits(1+l.w.rng.IntN(8)) * 1_000_000}
	if l.w.chance(8) {
		g.ID = "g0"
	}
	if l.w.chance(3) {
		g.EffectiveAt = now.Add(time.Duration(l.w.rng.IntN(20)) * time.Second)
	}
	if l.w.chance(2) {
		g.ExpiresAt = now.Add(time.Duration(20+l.w.rng.IntN(40)) * time.Second)
	}
	if priority := uint8(l.w.rng.IntN(3)); priority > 0 {
		g.Priority = &priority
	}
	if l.w.chance(6) {
		g.Recurrence = "PT1M"
	}
	if l.w.chance(6) {
		g.Rollover = &events.Rollover{Min: events.Credits(l.w.rng.IntN(2)) * events.Credit, Max: 2 * events.Credit}
	}
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &g}
}

// topUp answers a request for a top-up that somebody was told of, by a grant or
// not, perhaps once more, or one that nobody made.
func (l *load) topUp() {
	account := pick(l.w, l.accounts)
	id := events.TopUpID(account, 1)
	for _, m := range l.w.server.Messages(events.StreamSignals) {
		if s, err := events.DecodeSignal(m.Data); err == nil && s.TopUp != nil && !l.w.chance(4) {
			account, id = s.Account, s.TopUp.ID
		}
	}
	if l.w.chance(3) {
		l.append(events.Entry{Kind: events.EntryDecline, Account: account, Decline: &events.Decline{TopUp: id, Reason: "because"}})
		return
	}
	l.grants = append(l.grants, events.Entry{Kind: events.EntryGrant, Account: account, Grant: &events.Grant{
		ID: fmt.Sprintf("g%d", len(l.grants)), Amount: 2 * events.Credit, TopUp: id,
	}})
	l.append(l.grants[len(l.grants)-1])
}

// append appends an entry of the gateway's, perhaps twice.
func (l *load) append(e events.Entry) {
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{e}})
	if err != nil {
		panic(err)
	}
	subject := events.BroadcastSubject()
	if e.Account != "" {
		subject = events.LedgerSubject(events.Partition(e.Account, partitions), events.WriterCommand)
	}
	for again := true; again; again = l.w.chance(10) {
		l.commands++
		reply := fmt.Sprintf("reply.%d", l.commands)
		sequence, err := l.w.server.Append(events.StreamLedger, stream.Append{
			Subject: subject, Header: nats.Header{events.HeaderReply: {reply}}, Data: body,
		})
		if err != nil {
			panic(err)
		}
		l.w.say("command %s %s =%d", e.Kind, e.Account, sequence)
	}
}
