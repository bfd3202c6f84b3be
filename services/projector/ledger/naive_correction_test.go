package ledger_test

import (
	"github.com/drawdown-credits/drawdown/events"
)

// naiveCharge is what one debit, or the debit of a correction, charged.
type naiveCharge struct {
	amount    events.Credits
	drew      []naiveDraw
	corrected bool
}

// naiveDraw is what a grant gave, or nil for what none did.
type naiveDraw struct {
	grant  *naiveGrant
	amount events.Credits
	turn   int // of the grant
}

type naivePlace struct {
	sequence uint64
	index    int
}

// charge charges amount at the account's place and remembers what it drew.
func (a *naiveAccount) charge(amount events.Credits) {
	a.began = a.began || amount > 0
	before := a.overage()
	a.charges = append(a.charges, amount)
	c := &naiveCharge{amount: amount, drew: a.cover()}
	if owed := a.overage() - before; owed > 0 {
		c.drew = append(c.drew, naiveDraw{nil, owed, 0})
	}
	a.debits[naivePlace{a.point.Sequence, a.point.Index}] = c
}

// doWork counts d in the budgets.
func (a *naiveAccount) doWork(d events.Debit) {
	a.workAt[naivePlace{a.point.Sequence, a.point.Index}] = len(a.work)
	a.work = append(a.work, workOfDebit(d))
}

func workOfDebit(d events.Debit) naiveWork {
	return naiveWork{d.Amount, d.Data.Project, d.Data.Key, d.Data.Attributes}
}

// repay lets grants cover what is owed of the past.
func (a *naiveAccount) repay() { a.repaid = append(a.repaid, a.cover()...) }

func (a *naiveAccount) correct(e events.Correction) string {
	c := a.debits[naivePlace{e.Corrects.Sequence, e.Corrects.Index}]
	switch {
	case c == nil:
		return "refused not_found"
	case c.corrected:
		a.debits[naivePlace{a.point.Sequence, a.point.Index}] = &naiveCharge{corrected: true}
		return "refused conflict"
	}
	c.corrected = true
	owed := a.overage()
	a.charges = append(a.charges, -c.amount)
	for _, s := range c.drew {
		if s.grant != nil {
			a.refill(s.grant, s.amount, s.turn)
			continue
		}
		rest := s.amount - min(s.amount, owed)
		for ; rest > 0 && len(a.repaid) > 0; a.repaid = a.repaid[:len(a.repaid)-1] {
			last := &a.repaid[len(a.repaid)-1]
			back := min(rest, last.amount)
			a.refill(last.grant, back, last.turn)
			rest -= back
			if last.amount -= back; last.amount > 0 {
				break
			}
		}
		a.forgiven = append(a.forgiven, -rest)
	}
	a.repay()
	work := a.workAt[naivePlace{e.First.Sequence, e.First.Index}]
	a.work[work] = naiveWork{}
	if e.Now != nil {
		a.work[work] = workOfDebit(*e.Now)
		a.charge(e.Now.Amount)
	} else {
		a.debits[naivePlace{a.point.Sequence, a.point.Index}] = &naiveCharge{}
	}
	return "applied"
}

func (a *naiveAccount) refill(g *naiveGrant, amount events.Credits, turn int) {
	g.drawn -= amount
	ofPast := g.Source == events.SourcePlan && (a.period == nil || g != a.planGrant && g != a.carried)
	switch {
	case g.isVoid:
		g.voided += amount
	case ofPast || turn != g.turn || !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(a.now):
		g.expired += amount
	}
}

// corrections puts corrections of earlier charges in the place of some entries.
func corrections(items []item, choose func(label string, most int) int) {
	type charge struct {
		first, at events.LedgerPlace
		account   string
		id        string
		was       *events.Debit
	}
	var charges []charge
	for i, it := range items {
		at := events.LedgerPlace{Sequence: it.point.Sequence, Index: it.point.Index, StoredAt: it.point.Time}
		if len(charges) == 0 || it.entry.Account == "" || choose("corrects", 4) > 0 {
			if e := it.entry; e.Debit != nil {
				charges = append(charges, charge{at, at, e.Account, e.Debit.ID, e.Debit})
			}
			continue
		}
		c := charges[len(charges)-1-choose("which charge from the end", min(len(charges)-1, 12))]
		fix := &events.Correction{Source: "test", ID: c.id, First: c.first, Corrects: c.at, Was: c.was}
		if c.was == nil || choose("charges again", 2) > 0 {
			fix.Now = &events.Debit{Source: "test", ID: c.id, Amount: events.Credits(choose("new amount", 12e6))}
			fix.Now.Data.Project = []string{"", "p1", "p2"}[choose("project", 2)]
			fix.Now.Data.Key = []string{"", "k1", "k2"}[choose("key", 2)]
		}
		items[i].entry = events.Entry{Kind: events.EntryCorrection, Account: c.account, Correction: fix}
		charges = append(charges, charge{c.first, at, c.account, c.id, fix.Now})
	}
}
