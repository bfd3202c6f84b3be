package ledger

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// balanceBudgets returns the budgets for a Balance: the exceeded ones, longest
// exceeded first, then those of which the highest share is used, and how many
// more there are.
func (a *account) balanceBudgets() (list []events.BudgetBalance, more int) {
	exceeded := ranking{most: events.BalanceExceededMax, compare: byExceeded}
	others := ranking{most: events.BalanceBudgetsMax, compare: byShare}
	for _, b := range a.budgets {
		for value, c := range b.counts {
			if c.exceeded {
				exceeded.add(b.balance(value, c))
			} else {
				others.add(b.balance(value, c))
			}
		}
	}
	return append(exceeded.first, others.first...), exceeded.more + others.more
}

func (b *budget) balance(value string, c *count) events.BudgetBalance {
	balance := events.BudgetBalance{
		Scope: b.name + ":" + value, Budget: b.scope(), Per: b.per, Limit: b.amount,
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
	compare func(a, b events.BudgetBalance) int
	first   []events.BudgetBalance
	more    int
}

func (r *ranking) add(b events.BudgetBalance) {
	at, _ := slices.BinarySearchFunc(r.first, b, r.compare)
	if at < r.most {
		r.first = slices.Insert(r.first, at, b)
	}
	if at == r.most || len(r.first) > r.most {
		r.first = r.first[:r.most]
		r.more++
	}
}

func byExceeded(a, b events.BudgetBalance) int {
	return cmp.Or(cmp.Compare(a.Since.Sequence, b.Since.Sequence), cmp.Compare(a.Since.Index, b.Since.Index), byName(a, b))
}

// byShare compares the shares of the limits that are spent or held, the highest
// first.
func byShare(a, b events.BudgetBalance) int {
	leftHigh, leftLow := bits.Mul64(uint64(a.Spent)+uint64(a.Held), uint64(b.Limit))
	rightHigh, rightLow := bits.Mul64(uint64(b.Spent)+uint64(b.Held), uint64(a.Limit))
	return cmp.Or(cmp.Compare(rightHigh, leftHigh), cmp.Compare(rightLow, leftLow), byName(a, b))
}

// byName is a total order of an account's budgets.
func byName(a, b events.BudgetBalance) int {
	return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Budget, b.Budget), cmp.Compare(a.Per, b.Per))
}
