package ledger

import (
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// overage says what usage that no grant covers leads to.
type overage struct {
	mode     overageMode
	preserve bool           // it stays owed at a new period
	stop     events.Credits // hard: the hard stop; soft: the limit
}

type overageMode byte

const (
	hard overageMode = iota
	soft
	postpaid
)

// overagePreserve, in the flags of overage, stands above its mode.
const overagePreserve = 1 << 2

// overageOf reads checked terms. Soft overage without a limit, which a plan that
// changed can leave an account with, is hard.
func overageOf(t events.Terms) overage {
	o := overage{preserve: t.PreserveOverage != nil && *t.PreserveOverage}
	switch {
	case t.Overage == events.OveragePostpaid:
		o.mode = postpaid
	case t.Overage == events.OverageSoft && t.OverageLimit != nil:
		o.mode, o.stop = soft, *t.OverageLimit
	case t.HardStopAt != nil:
		o.stop = *t.HardStopAt
	}
	return o
}

// levels returns those that overage leads to, exhausted last. An account that
// may owe is exhausted below 0: at the limit of what it may owe.
func (o overage) levels() []threshold {
	started := threshold{kind: events.SignalOverageStarted, text: "0"}
	stop := threshold{kind: events.SignalExhausted, text: o.stop.String(), amount: o.stop}
	switch o.mode {
	case soft:
		stop.amount = -o.stop
		stop.text = stop.amount.String()
		return []threshold{started, stop}
	case postpaid:
		return []threshold{started}
	}
	return []threshold{stop}
}

func (o overage) flags() byte {
	flags := byte(o.mode)
	if o.preserve {
		flags |= overagePreserve
	}
	return flags
}

// overageOfFlags returns what flags and stop say, which may not be sound.
func overageOfFlags(flags byte, stop events.Credits) overage {
	return overage{mode: overageMode(flags &^ overagePreserve), preserve: flags&overagePreserve != 0, stop: stop}
}

// sound reports whether o is one that overageOf returns.
func (o overage) sound() bool {
	switch o.mode {
	case hard:
		return between(o.stop)
	case soft:
		return between(o.stop) && o.stop > 0
	case postpaid:
		return o.stop == 0
	}
	return false
}

// checkOverage returns what is wrong with what t says of overage, or "".
func checkOverage(t events.Terms) string {
	modes := []string{"", events.OverageHard, events.OverageSoft, events.OveragePostpaid}
	switch limit := t.OverageLimit; {
	case !slices.Contains(modes, t.Overage):
		return "overage: expected hard, soft or postpaid"
	case limit != nil && (*limit <= 0 || *limit > events.MaxCredits):
		return "overage_limit: expected more than 0 and at most " + events.MaxCredits.String()
	case limit != nil && t.Overage != "" && t.Overage != events.OverageSoft:
		return "overage_limit: expected none, as overage is " + t.Overage
	}
	return ""
}

// checkLimited returns what is wrong with a limit of its own in terms that
// amount to merged, or "".
func checkLimited(own, merged events.Terms) string {
	if own.OverageLimit != nil && merged.Overage != events.OverageSoft {
		return "overage_limit: expected overage soft beside it"
	}
	return ""
}

// lows returns the levels as the terms write them.
func (t *terms) lows() []threshold {
	others := 1
	if t.overage.mode == soft {
		others = 2
	}
	return t.levels[:len(t.levels)-others]
}

// reached reports whether a stands at or below a level; for the first overage,
// whether there is any.
func (a *account) reached(t threshold, at events.Credits) bool {
	if t.kind == events.SignalOverageStarted {
		return a.overage > 0
	}
	return a.available()-a.overage <= at
}
