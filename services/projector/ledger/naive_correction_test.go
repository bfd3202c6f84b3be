package ledger_test

import (
	"slices"

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
	debt   int // the number of the debt that it went into, or settled
}

type naivePlace struct {
	sequence uint64
	index    int
}

// charge charges amount at the account's place and remembers what it drew, beside
// what it keeps of an earlier charge.
func (a *naiveAccount) charge(amount events.Credits, kept ...naiveDraw) {
	a.began = a.began || amount > 0
	c := &naiveCharge{amount: amount, drew: kept}
	for _, d := range kept {
		amount -= d.amount
	}
	a.charges = append(a.charges, amount)
	before := a.overage() - amount
	c.drew = append(c.drew, a.cover()...)
	if owed := a.overage() - before; owed > 0 {
		c.drew = append(c.drew, naiveDraw{nil, owed, 0, a.debt})
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
func (a *naiveAccount) repay() {
	debt := a.debt
	for _, d := range a.cover() {
		d.debt = debt
		a.settled = append(a.settled, d)
	}
}

// forgive drops what is owed.
func (a *naiveAccount) forgive() {
	owed := a.overage()
	a.forgiven = append(a.forgiven, owed)
	a.settled = append(a.settled, naiveDraw{nil, owed, 0, a.debt})
	a.count()
}

// count begins the next debt once nothing is owed.
func (a *naiveAccount) count() {
	if owing := a.overage() > 0; owing != a.owing {
		a.owing = owing
		if !owing {
			a.debt++
		}
	}
}

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
	var now events.Credits
	work := a.workAt[naivePlace{e.First.Sequence, e.First.Index}]
	a.work[work] = naiveWork{}
	if e.Now != nil {
		now = e.Now.Amount
		a.work[work] = workOfDebit(*e.Now)
	}
	kept := slices.Clone(c.drew)
	for less := c.amount - now; less > 0; {
		last := &kept[len(kept)-1]
		taken := *last
		taken.amount = min(taken.amount, less)
		less -= taken.amount
		a.takeBack(taken)
		if last.amount -= taken.amount; last.amount == 0 {
			kept = kept[:len(kept)-1]
		}
	}
	a.count()
	a.repay()
	a.charge(now, kept...)
	return "applied"
}

// takeBack returns what a charge drew. Of a debt that goes which settled it last.
func (a *naiveAccount) takeBack(d naiveDraw) {
	a.charges = append(a.charges, -d.amount)
	if d.grant != nil {
		a.refill(d.grant, d.amount, d.turn)
		return
	}
	if d.debt == a.debt {
		d.amount = max(0, -a.overage()) // the rest was owed still
	}
	for i := len(a.settled) - 1; d.amount > 0; i-- {
		s := &a.settled[i]
		if s.debt != d.debt {
			continue
		}
		back := min(d.amount, s.amount)
		d.amount -= back
		s.amount -= back
		if s.grant != nil {
			a.refill(s.grant, back, s.turn)
		} else {
			a.forgiven = append(a.forgiven, -back)
		}
	}
}

func (a *naiveAccount) refill(g *naiveGrant, amount events.Credits, turn int) {
	g.drawn -= amount
	ofPast := g.Source == events.SourcePlan && (a.period == nil || g != a.planGrant && g != a.carried)
	switch {
	case turn != g.turn:
		g.expired += amount
	case g.isVoid:
		g.voided += amount
	case ofPast || !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(a.now):
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
		chosen := len(charges) - 1 - choose("which charge from the end", min(len(charges)-1, 12))
		c := charges[chosen]
		if choose("only once", 3) > 0 {
			charges = slices.Delete(charges, chosen, chosen+1)
		}
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
