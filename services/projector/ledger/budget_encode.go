package ledger

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// Bits of a count's byte.
const (
	countExceeded = 1 << iota
	countSince
	countFlags = 1<<iota - 1
)

// budgets writes where an account stands with the limits of its terms. What
// open holds reserve follows from them.
func (e *stateEncoder) budgets(a *account) {
	for _, b := range a.budgets {
		e.varint(int64(b.start))
		e.varint(int64(b.end))
		e.place(b.from)
		e.byte(flagOf(b.full))
		e.uvarint(uint64(b.stirred))
		for _, value := range slices.Sorted(maps.Keys(b.counts)) {
			if c := b.counts[value]; c.stirs() {
				e.count(value, c, a.clock)
				e.pause()
			}
		}
	}
}

func flagOf(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func (e *stateEncoder) count(value string, c *count, at clock) {
	var flags byte
	if c.exceeded {
		flags |= countExceeded
	}
	if c.since != nil {
		flags |= countSince
	}
	e.text(value)
	e.byte(flags)
	e.uvarint(uint64(c.spent))
	if c.since != nil {
		e.cause(c.since, at)
	}
}

// budgets reads where an account, whose terms and holds are read, stands with
// the limits of its terms.
func (d *stateDecoder) budgets(a *account) {
	for _, l := range a.terms.limits {
		b := &budget{limit: l, counts: map[string]*count{}}
		b.start, b.end = micros(d.varint()), micros(d.varint())
		b.from = d.place()
		full := d.byte()
		d.check(full <= 1, "flags of a budget")
		b.full = full == 1
		last, n := "", d.uvarint()
		d.check(n <= budgetValuesMax, "values of a budget")
		for ; n > 0 && d.err == nil; n-- {
			value := d.text()
			d.check(last < value, "value of a budget")
			last = value
			b.counts[value] = d.count(b, value, a.clock)
		}
		if d.err != nil {
			return
		}
		b.resettle()
		a.budgets = append(a.budgets, b)
	}
	if a.holds != nil && d.err == nil {
		for _, h := range a.holds.open {
			a.reserve(h.scopes, h.amount)
		}
	}
}

func (d *stateDecoder) count(b *budget, value string, at clock) *count {
	flags := d.byte()
	d.check(flags <= countFlags, "flags of a budget")
	c := &count{value: value, exceeded: flags&countExceeded != 0, spent: d.credits()}
	if flags&countSince != 0 {
		c.since = d.cause(at)
	}
	d.check(c.stirs() && c.exceeded == (c.spent >= b.amount) && (!c.exceeded || c.since != nil), "state of a budget")
	return c
}

// appendLimits appends what limits say.
func appendLimits(b []byte, limits []limit) []byte {
	b = binary.AppendUvarint(b, uint64(len(limits)))
	for _, l := range limits {
		for _, text := range []string{l.scope(), l.per} {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
		b = binary.AppendUvarint(b, uint64(l.amount))
	}
	return b
}

// parseLimits reads what appendLimits appends, by the functions that read a
// number and a text.
func parseLimits(number func() uint64, text func() string) ([]limit, bool) {
	n := number()
	if n > budgetsMax {
		return nil, false
	}
	var budgets []events.Budget
	for range n {
		budgets = append(budgets, events.Budget{Scope: text(), Per: text(), Limit: events.Credits(number())})
	}
	return limitsOf(budgets), checkBudgets(budgets) == ""
}
