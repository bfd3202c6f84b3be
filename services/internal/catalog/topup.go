package catalog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	aTopUpBelow  = "the credits below which a top-up is requested, above 0"
	aTopUpAmount = "the credits that a top-up grants, above 0"
)

var (
	aTopUpCount = fmt.Sprintf("how many there may be in one period, 0 to %d", events.MaxTopUpsPerPeriod)
	aTopUpWait  = fmt.Sprintf("a length of time from %s to %s, such as 90s, 10m or 1h30m", events.Duration(events.MinTopUpWait), events.Duration(events.MaxTopUpWait))
)

// topUp reads a rule for auto top-up.
func (f field) topUp() *events.TopUp {
	var t events.TopUp
	o := f.open("a top-up", []string{"below", "amount", "at_most_per_period", "cooldown", "timeout"}, nil)
	o.required("below", aTopUpBelow, func(f field) { t.Below, _ = f.amount(aTopUpBelow, 1) })
	o.required("amount", aTopUpAmount, func(f field) { t.Amount, _ = f.amount(aTopUpAmount, 1) })
	o.required("at_most_per_period", aTopUpCount, func(f field) { t.AtMostPerPeriod = f.topUpCount() })
	o.optional("cooldown", func(f field) { t.Cooldown = f.topUpWait() })
	o.optional("timeout", func(f field) { t.Timeout = f.topUpWait() })
	return &t
}

func (f field) topUpCount() int {
	s, ok := f.number(aTopUpCount)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > events.MaxTopUpsPerPeriod {
		f.refuse("found %s; expected %s", clip(s), aTopUpCount)
	}
	return n
}

func (f field) topUpWait() events.Duration {
	s, ok := f.text(aTopUpWait, events.MaxStringBytes)
	if !ok {
		return 0
	}
	wait, err := time.ParseDuration(s)
	if err != nil || wait < events.MinTopUpWait || wait > events.MaxTopUpWait {
		f.refuse("found %s; expected %s", clip(s), aTopUpWait)
	}
	return events.Duration(wait)
}
