package oracle

import (
	"fmt"
	"math/big"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
)

// counter is what a tiered rule counts of an account in a billing period.
type counter struct {
	account, rule string
	period        int64 // its start, in microseconds
}

// charge is what an event costs in micro-credits, and what it counts.
type charge struct {
	amount         *big.Int
	part, quantity string // of the tiers; empty for none
	period         int64
	before, counts int64
}

// tiers says what is counted, as tiersOf says of a debit.
func (c charge) tiers() string {
	if c.counts == 0 {
		return ""
	}
	return fmt.Sprintf("%s %s %d: %d + %d", c.part, c.quantity, c.period, c.before, c.counts)
}

// tiersOf says what a debit counts.
func tiersOf(d *books.Debit) (text string) {
	for i, t := range d.Tiers {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s %d: %s + %s", t.Part, t.Quantity, t.Period.UnixMicro(), t.Before, t.Amount)
	}
	return text
}

// price works out what an event that is charged d must cost, and counts it.
// The raters hear of corrections a moment after they are in the ledger: what these
// change of what tiers count may be known or not yet, in their order.
func (l *ledger) price(e *journal.Event, d *books.Debit) (c charge) {
	period := l.log.billingPeriod(e.Account, e.Micros)
	var counted counter
	for known := 0; ; known++ {
		counted.rule = ""
		c = priceOf(e, l.config.Start, func(rule, part, quantity string, units int64) charge {
			counted = counter{e.Account, rule, period}
			before := l.counters[counted]
			for _, by := range l.late[counted][:len(l.late[counted])-known] {
				before += by
			}
			return charge{part: part, quantity: quantity, period: period, before: max(0, before), counts: units}
		})
		if known >= len(l.late[counted]) || c.amount.Cmp(big.NewInt(int64(d.Amount))) == 0 && c.tiers() == tiersOf(d) {
			break
		}
	}
	if counted.rule != "" {
		l.counters[counted] += c.counts
	}
	return c
}

// billingPeriod is the start of the minute of the account's own, or of the month,
// that contains an instant.
func (r *record) billingPeriod(account string, micros int64) int64 {
	s, ok := r.settings[account]
	if !ok {
		t := time.UnixMicro(micros).UTC()
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
	const minute = 60_000_000
	since := (micros - s.Started) % minute
	if since < 0 {
		since += minute
	}
	return micros - since
}

// priceOf is what an event costs, as the cards of a run that began at start say.
// They are written out here once more, on purpose. What tiers count is the
// business of count, which returns what was counted before.
func priceOf(e *journal.Event, start time.Time, count func(rule, part, quantity string, units int64) charge) charge {
	// The second card is in force from an hour before the start, to the second.
	second := e.Micros >= start.Add(-time.Hour).Truncate(time.Second).UnixMicro()
	if e.Status >= 500 {
		return flat(big.NewInt(0))
	}
	switch e.Operation {
	case "POST /v1/chat":
		call, out := "10000", "600" // 0.01 a call, 0.60 per 1000
		if second {
			call, out = "12000", "550"
		}
		return flat(atLeast(round(plus(rat(call), times(rat("150"), e.A), times(rat(out), e.B))), 20_000))
	case "GET /files/report.pdf":
		started := new(big.Int).Div(big.NewInt(e.A+1<<20-1), big.NewInt(1<<20))
		return flat(started.Mul(started, big.NewInt(1_000_000)))
	case "GET /search":
		c := count("search", "graduated", "requests", 1)
		switch { // the one call is in one tier
		case c.before >= 200:
			c.amount = big.NewInt(10_000)
		case c.before >= 20:
			c.amount = big.NewInt(30_000)
		case second:
			c.amount = big.NewInt(40_000)
		default:
			c.amount = big.NewInt(50_000)
		}
		return c
	case "POST /v1/render":
		return renderPrice(e, count)
	case "POST /v1/odd":
		return flat(round(times(rat("7/30"), e.A))) // 0.7 micro-credits for 3
	}
	return flat(nil)
}

// renderPrice is by the unit: for many of Europe 700 micro-credits and at most
// half a credit, for all others by their volume, for project p1 twice.
func renderPrice(e *journal.Event, count func(rule, part, quantity string, units int64) charge) charge {
	if regionOf(e.ID) == "eu" && e.A > 500 {
		return flat(big.NewInt(min(700*e.A, 500_000)))
	}
	c := count("render", "volume", "units", e.A)
	each := int64(100)
	if c.before+e.A > 5000 {
		each = 50
	}
	if projectOf(e.ID) == "p1" {
		each *= 2
	}
	c.amount = big.NewInt(each * e.A)
	return c
}

func flat(amount *big.Int) charge { return charge{amount: amount} }

// projectOf and regionOf say which scopes an event has.
func projectOf(id journal.ID) string { return fmt.Sprintf("p%d", id.Number%4) }

func regionOf(id journal.ID) string { return []string{"eu", "us", "ap"}[id.Number%3] }

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("oracle: no number: " + text)
	}
	return r
}

func times(price *big.Rat, n int64) *big.Rat { return price.Mul(price, new(big.Rat).SetInt64(n)) }

func plus(terms ...*big.Rat) *big.Rat {
	sum := new(big.Rat)
	for _, term := range terms {
		sum.Add(sum, term)
	}
	return sum
}

// round rounds a half up.
func round(r *big.Rat) *big.Int {
	r.Add(r, big.NewRat(1, 2))
	return new(big.Int).Div(r.Num(), r.Denom())
}

func atLeast(n *big.Int, least int64) *big.Int {
	if l := big.NewInt(least); n.Cmp(l) < 0 {
		return l
	}
	return n
}
