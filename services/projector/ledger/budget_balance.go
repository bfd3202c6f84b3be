package ledger

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// balanceBudgets returns the budgets for a Balance: the exceeded ones, longest
// exceeded first, then those of which the highest share is used, and how many
// more there are. It looks only at about as many as it returns.
func (a *account) balanceBudgets() (list []events.BudgetBalance, more int) {
	exceeded := ranking{most: events.BalanceExceededMax, compare: byExceeded}
	others := ranking{most: events.BalanceBudgetsMax, compare: byShare}
	for _, b := range a.budgets {
		more += len(b.counts)
		for c := range b.over.inOrder() {
			if !exceeded.add(ranked{b, c}) {
				break
			}
		}
		for c := range b.under.inOrder() {
			if !others.add(ranked{b, c}) {
				break
			}
		}
	}
	for _, r := range append(exceeded.first, others.first...) {
		list = append(list, r.balance())
	}
	return list, more - len(list)
}

// ranked is a count of one of the budgets of an account.
type ranked struct {
	of *budget
	*count
}

func (r ranked) scope() string { return r.of.name + ":" + r.value }

func (r ranked) balance() events.BudgetBalance {
	b, c := r.of, r.count
	balance := events.BudgetBalance{
		Scope: r.scope(), Budget: b.scope(), Per: b.per, Limit: b.amount,
		Spent: c.spent, Held: c.held, Exceeded: c.exceeded,
	}
	if b.start != since {
		balance.Start = b.start.time()
	}
	balance.End = b.end.time()
	if c.since != nil {
		cause := *c.since
		balance.Since = &cause
	}
	return balance
}

// ranking keeps the first of many, in order.
type ranking struct {
	most    int
	compare func(a, b ranked) int
	first   []ranked
}

// add takes in r, and reports whether one behind it might be taken in, too.
func (r *ranking) add(one ranked) bool {
	at, _ := slices.BinarySearchFunc(r.first, one, r.compare)
	if at == r.most {
		return false
	}
	r.first = slices.Insert(r.first, at, one)
	r.first = r.first[:min(len(r.first), r.most)]
	return true
}

func byExceeded(a, b ranked) int {
	if order := cmp.Or(cmp.Compare(a.since.Sequence, b.since.Sequence), cmp.Compare(a.since.Index, b.since.Index)); order != 0 {
		return order
	}
	return byName(a, b)
}

// byShare compares the shares of the limits that are spent or held, the highest
// first.
func byShare(a, b ranked) int {
	leftHigh, leftLow := bits.Mul64(a.used(), uint64(b.of.amount))
	rightHigh, rightLow := bits.Mul64(b.used(), uint64(a.of.amount))
	if order := cmp.Or(cmp.Compare(rightHigh, leftHigh), cmp.Compare(rightLow, leftLow)); order != 0 {
		return order
	}
	return byName(a, b)
}

// byName is a total order of an account's budgets.
func byName(a, b ranked) int {
	if a.of == b.of {
		return cmp.Compare(a.value, b.value)
	}
	return cmp.Or(cmp.Compare(a.scope(), b.scope()), cmp.Compare(a.of.scope(), b.of.scope()), cmp.Compare(a.of.per, b.of.per))
}
