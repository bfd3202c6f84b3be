package simulation

import (
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// chargeNow is what one event is charged, and where the ledger says so.
type chargeNow struct {
	account         string
	first, corrects events.LedgerPlace
	debit           events.Debit  // the first
	charge          *events.Debit // nil for a void event
}

// charges are what the ledger charges now, in the order of the debits.
func (l *load) charges() (all []*chargeNow) {
	byID := map[string]*chargeNow{}
	for _, m := range l.w.server.Messages(events.StreamLedger) {
		for i, e := range l.w.chunk(m).Entries {
			at := events.LedgerPlace{Sequence: m.Sequence, Index: i, StoredAt: m.Time}
			switch {
			case e.Debit != nil:
				// An id that was forgotten may be charged again. The newest is corrected.
				c := &chargeNow{account: e.Account, first: at, corrects: at, debit: *e.Debit, charge: e.Debit}
				byID[e.Debit.ID] = c
				all = append(all, c)
			case e.Correction != nil:
				c := byID[e.Correction.ID]
				c.corrects, c.charge = at, e.Correction.Now
			}
		}
	}
	return all
}

// correct voids or amends an event that was charged, as the gateway does: behind
// the last correction of it.
func (l *load) correct() {
	all := l.charges()
	if len(all) == 0 {
		l.left++ // another time
		return
	}
	c := all[max(0, len(all)-1-l.w.rng.IntN(12))]
	fix := events.Correction{Source: source, ID: c.debit.ID, First: c.first, Corrects: c.corrects, Was: c.charge, Reason: "because"}
	if c.charge == nil || l.w.chance(2) {
		fix.Now = l.amended(c)
	}
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{{Kind: events.EntryCorrection, Account: c.account, Correction: &fix}}})
	if err != nil {
		panic(err)
	}
	subject := events.CorrectionSubject(events.Partition(c.account, partitions), source, c.debit.ID)
	var before uint64
	for _, m := range l.w.server.Messages(events.StreamLedger) {
		if m.Subject == subject {
			before = m.Sequence
		}
	}
	sequence, err := l.w.server.Append(events.StreamLedger, stream.Append{Subject: subject, Data: body, Fence: &stream.Fence{Sequence: before}})
	if err != nil {
		panic(err)
	}
	l.w.say("correct %s of %s =%d", c.debit.ID, c.account, sequence)
}

// amended is what an event is charged that was another call.
func (l *load) amended(c *chargeNow) *events.Debit {
	made := l.call()
	period := l.w.standings(c.account, time.Now(), time.Now())[0].period(c.debit.Time)
	var before events.Total
	used := func(rule string) int64 {
		counted := int64(0)
		for _, other := range l.charges() {
			if charge := other.charge; charge != nil && other.account == c.account && charge.Rule == rule && charge.ID != c.debit.ID && len(charge.Tiers) > 0 && charge.Tiers[0].Period.Equal(period) {
				counted += whole(charge.Tiers[0].Amount.String())
			}
		}
		before = events.WholeQuantity(counted).Total()
		return counted
	}
	rule, uc, counts := price(made, "minute", used)
	now := c.debit
	now.Data, now.Rule, now.Amount, now.Arithmetic, now.Tiers = made.data(), rule, events.Credits(uc), "amended", nil
	if counts > 0 {
		t := events.Tier{Part: events.PartGraduated, Quantity: "tokens", Period: period, Before: before, Amount: events.WholeQuantity(counts)}
		if rule == "render" {
			t.Part, t.Quantity = events.PartVolume, "requests"
		}
		now.Tiers = []events.Tier{t}
	}
	return &now
}

// probe has every account use what tiers count, once nothing is under way: that
// counts from where all corrections have left it.
func (l *load) probe() {
	l.w.calm = time.Now()
	for _, account := range slices.Sorted(slices.Values(l.accounts)) {
		for _, operation := range []string{search, render} {
			l.ids++
			e := given{id: "probe-" + strings.TrimPrefix(operation, "GET /") + "-" + account, account: account, call: call{operation: operation, tokens: 1}, at: time.Now().UTC()}
			l.publish(events.UsageSubject(account), events.ContentTypeEvent, encode(e), e)
		}
	}
}
