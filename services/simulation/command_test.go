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
	c := card(1, time.Time{})
	c.Version = 0 // the ledger's to give
	l.append(events.Entry{Kind: events.EntryRateCard, RateCard: &c})
	l.append(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "minute", Terms: events.Terms{
		Period: "PT1M", Grant: &events.PlanGrant{Amount: events.MustCredits("4")}, Thresholds: []string{"50%", "1"},
	}}})
	l.append(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "owing", Terms: events.Terms{
		Period: "PT2M", Grant: &events.PlanGrant{Amount: events.MustCredits("5"), Rollover: &events.Rollover{Min: events.Credit, Max: 3 * events.Credit}},
		Overage: events.OverageSoft, OverageLimit: new(2 * events.Credit), PreserveOverage: new(true), Thresholds: []string{"50%", "1"},
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
	switch n := l.w.rng.IntN(10); {
	case n < 5 || len(l.grants) == 0:
		l.grants = append(l.grants, l.grant(pick(l.w, l.accounts)))
		l.append(l.grants[len(l.grants)-1])
	case n < 7:
		l.append(pick(l.w, l.grants))
	case n < 9:
		e := pick(l.w, l.grants)
		l.append(events.Entry{Kind: events.EntryVoid, Account: e.Account, Void: &events.Void{Grant: e.Grant.ID}})
	case l.w.chance(2):
		id := pick(l.w, l.accounts)
		l.append(events.Entry{Kind: events.EntryAccount, Account: id, Settings: &events.Account{
			ID: id, Plan: pick(l.w, []string{"minute", "owing"}),
			Change: pick(l.w, []events.PlanChange{events.ChangeNow, events.ChangeNowProrated, events.ChangePeriodEnd}),
		}})
	default:
		id := pick(l.w, l.accounts)
		stop := events.Credits(l.w.rng.IntN(3)) * 1_000_000
		l.append(events.Entry{Kind: events.EntryAccount, Account: id, Settings: &events.Account{
			ID: id, Terms: events.Terms{Thresholds: []string{fmt.Sprint(l.w.rng.IntN(10)), "1"}, HardStopAt: &stop},
		}})
	}
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
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &g}
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
