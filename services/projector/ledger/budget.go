package ledger

import (
	"cmp"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
)

// A limit is one budget of terms, ready to be applied.
type limit struct {
	name   string // project, key, or an attribute's
	value  string // "*" counts each value by itself
	amount events.Credits
	per    string
	period period // none for the account's own
}

// perPeriod is a budget whose windows are the account's periods.
const perPeriod = "period"

// budgetsMax bounds the budgets of one account.
const budgetsMax = 32

// checkBudgets returns what is wrong with budgets, or "".
func checkBudgets(budgets []events.Budget) string {
	if len(budgets) > budgetsMax {
		return "budgets: expected at most 32"
	}
	seen := map[[2]string]bool{}
	for _, b := range budgets {
		_, timed := parsePeriod(b.Per)
		switch {
		case !events.ValidBudgetScope(b.Scope):
			return "budgets: expected a scope such as project:*, key:k1 or team:*"
		case b.Limit <= 0 || b.Limit > events.MaxCredits:
			return "budgets: expected a limit of more than 0 and at most " + events.MaxCredits.String()
		case b.Per != perPeriod && (b.Per == "" || !timed):
			return "budgets: expected per period, " + events.PeriodForm
		case seen[[2]string{b.Scope, b.Per}]:
			return "budgets: expected each scope once per length of time"
		}
		seen[[2]string{b.Scope, b.Per}] = true
	}
	return ""
}

// limitsOf reads checked budgets.
func limitsOf(budgets []events.Budget) []limit {
	var limits []limit
	for _, b := range budgets {
		name, value, _ := strings.Cut(b.Scope, ":")
		l := limit{name: name, value: value, amount: b.Limit, per: b.Per}
		if b.Per != perPeriod {
			l.period, _ = parsePeriod(b.Per)
		}
		limits = append(limits, l)
	}
	return limits
}

// scope is l's, as the terms write it.
func (l limit) scope() string { return l.name + ":" + l.value }

// match returns the value of s that l counts, or "" when it counts none.
func (l limit) match(s scopes) string {
	value := s.attributes[l.name]
	switch l.name {
	case "project":
		value = s.project
	case "key":
		value = s.key
	}
	if l.value != "*" && l.value != value {
		return ""
	}
	return value
}

// rank orders the scopes that refuse a hold, the narrowest first.
func (l limit) rank() int {
	switch l.name {
	case "key":
		return 0
	case "project":
		return 1
	}
	return 2
}

// budget is where an account stands with one limit of its terms, in the window
// [start, end).
type budget struct {
	limit
	start, end micros // since and never where there is no border
	from       place  // of the entry that opened the window: those before count in none
	counts     map[string]*count
	stirred    int                     // counts that the end of the window changes
	full       bool                    // a charge of the window was not counted
	over       queue[*count, bySince]  // the exceeded ones of counts
	under      queue[*count, byCredit] // the others
}

// budgetValuesMax bounds the values of one budget that have spent something in
// its window. What a further one is charged does not count in the budget.
const budgetValuesMax = 100_000

// count is what was spent and is held of a budget by one value.
type count struct {
	value       string
	spent, held events.Credits
	since       *events.Cause // of exceeded, in this window or the one before
	exceeded    bool
	isOver      bool  // which queue of the budget it is in
	index       int32 // and where
}

// bySince is the order in which the counts of a budget were exceeded.
type bySince struct{}

func (bySince) before(a, b *count) bool {
	return cmp.Or(cmp.Compare(a.since.Sequence, b.since.Sequence), cmp.Compare(a.since.Index, b.since.Index), cmp.Compare(a.value, b.value)) < 0
}

func (bySince) moved(c *count, index int) { c.index = int32(index) }

// byCredit has the counts of a budget of which most is spent or held first.
type byCredit struct{}

func (byCredit) before(a, b *count) bool {
	if left, right := a.used(), b.used(); left != right {
		return left > right
	}
	return a.value < b.value
}

func (byCredit) moved(c *count, index int) { c.index = int32(index) }

func (c *count) used() uint64 { return uint64(c.spent) + uint64(c.held) }

// stirs reports whether the end of its window changes c.
func (c *count) stirs() bool { return c.spent > 0 || c.since != nil }

// of returns the count of a value, new if need be.
func (b *budget) of(value string) *count {
	c := b.counts[value]
	if c == nil {
		c = &count{value: value}
		b.counts[value] = c
		b.enqueue(c)
	}
	return c
}

func (b *budget) enqueue(c *count) {
	if c.isOver = c.exceeded; c.isOver {
		b.over.push(c)
	} else {
		b.under.push(c)
	}
}

// settle puts a count that changed in its place, and drops it when nothing is
// left of it.
func (b *budget) settle(c *count) {
	gone := c.held == 0 && !c.stirs()
	switch {
	case c.isOver && c.exceeded:
		return // since when has not changed
	case c.isOver:
		b.over.remove(int(c.index))
	case c.exceeded || gone:
		b.under.remove(int(c.index))
	default:
		b.under.fix(int(c.index))
		return
	}
	if gone {
		delete(b.counts, c.value)
		return
	}
	b.enqueue(c)
}

// resettle does that for all counts, which may all have changed.
func (b *budget) resettle() {
	clear(b.over)
	clear(b.under)
	b.over, b.under, b.stirred = b.over[:0], b.under[:0], 0
	for value, c := range b.counts {
		if c.held == 0 && !c.stirs() {
			delete(b.counts, value)
			continue
		}
		b.enqueue(c)
		if c.stirs() {
			b.stirred++
		}
	}
}

// reserve changes what a value holds by amount, which may be negative.
func (b *budget) reserve(value string, amount events.Credits) {
	c := b.of(value)
	c.held += amount
	b.settle(c)
}

// reserve counts a hold that is placed, or with a negative amount one that
// ends, in every budget that it matches.
func (a *account) reserve(s scopes, amount events.Credits) {
	for _, b := range a.budgets {
		if value := b.match(s); value != "" {
			b.reserve(value, amount)
		}
	}
}

// spend counts a charge in every budget that it matches.
func (x *step) spend(s scopes, amount events.Credits) {
	for _, b := range x.account.budgets {
		x.count(b, b.match(s), amount)
	}
}

// count adds amount, which may be negative, to what a value has spent.
func (x *step) count(b *budget, value string, amount events.Credits) {
	if value == "" || amount == 0 {
		return
	}
	if !b.counting(value) && b.stirred >= budgetValuesMax {
		b.full = true
		return
	}
	c := b.of(value)
	if c.stirs() {
		b.stirred--
	}
	c.spent += amount
	x.assess(b, c)
	if c.stirs() {
		b.stirred++
	}
	b.settle(c)
}

// counting reports whether b has counted a charge of value.
func (b *budget) counting(value string) bool {
	c := b.counts[value]
	return c != nil && c.stirs()
}

// spent is what value has spent of b.
func (b *budget) spent(value string) events.Credits {
	if c := b.counts[value]; c != nil {
		return c.spent
	}
	return 0
}

// counted reports whether every budget whose window runs since the entry at
// first, or longer, has counted the charge was.
func (a *account) counted(first place, was *events.Debit) bool {
	for _, b := range a.budgets {
		value := b.charged(was)
		if value == "" || was.Amount == 0 || first.before(b.from) {
			continue
		}
		if b.spent(value) < was.Amount && !b.full {
			return false
		}
	}
	return true
}

// recount puts the charge now, or none, in the place of was, or none, in every
// budget whose running window counted the event, whose first entry is at first.
func (x *step) recount(first place, was, now *events.Debit) {
	for _, b := range x.account.budgets {
		if first.before(b.from) {
			continue
		}
		out, in := b.charged(was), b.charged(now)
		var less, more events.Credits
		if out != "" {
			less = min(was.Amount, b.spent(out)) // all, unless b was full
		}
		if in != "" {
			more = now.Amount
		}
		if out == in {
			x.count(b, in, more-less) // at once: what stays exceeded was never restored
			continue
		}
		x.count(b, out, -less)
		x.count(b, in, more)
	}
}

// charged returns the value that b counts the charge d for, or "".
func (l limit) charged(d *events.Debit) string {
	if d == nil {
		return ""
	}
	return l.match(scopesOf(d))
}

func scopesOf(d *events.Debit) scopes {
	return scopes{project: d.Data.Project, key: d.Data.Key, attributes: d.Data.Attributes}
}

// assess notes whether a count is exceeded now.
func (x *step) assess(b *budget, c *count) {
	if exceeded := c.spent >= b.amount; exceeded != c.exceeded {
		c.exceeded, c.since = exceeded, x.causeOf()
	}
}

// refusing returns why budgets have no room for a hold, or nil: of those that
// have none the narrowest, and of equally narrow ones that with the smallest
// limit.
func (a *account) refusing(s scopes, amount events.Credits) *events.Shortage {
	var narrowest *budget
	var found string
	for _, b := range a.budgets {
		value := b.match(s)
		if value != "" && amount > b.room(value) && (narrowest == nil || b.narrower(narrowest)) {
			narrowest, found = b, value
		}
	}
	if narrowest == nil {
		return nil
	}
	short := &events.Shortage{Scope: narrowest.name + ":" + found, Available: narrowest.room(found), Required: amount}
	if amount <= narrowest.amount { // else it never fits
		short.ResetsAt = narrowest.end.time()
	}
	return short
}

// narrower is a total order of the budgets of an account.
func (b *budget) narrower(than *budget) bool {
	return cmp.Or(cmp.Compare(b.rank(), than.rank()), cmp.Compare(b.amount, than.amount),
		cmp.Compare(b.scope(), than.scope()), cmp.Compare(b.per, than.per)) < 0
}

// room is what a value may still hold.
func (b *budget) room(value string) events.Credits {
	c := b.counts[value]
	if c == nil {
		return b.amount
	}
	return max(0, b.amount-c.spent-c.held)
}
