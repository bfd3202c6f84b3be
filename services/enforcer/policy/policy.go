package policy

import (
	"cmp"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// Published is what an account was told so far. The zero value is an account
// that was told nothing.
type Published struct {
	sequence  uint64   // of the last signal
	exhausted bool     // the last of exhausted and restored was exhausted
	exceeded  []string // the budgets told as exceeded, by name, sorted
	topUp     uint64   // the number of the last top-up that was requested
	mark      mark
}

// mark is the cause of the signal that stands last in the order of causes, and
// which of the signals of that cause it is.
type mark struct {
	cause     events.Cause
	kind      events.SignalKind
	threshold string
}

// After returns p once s was published. Signals come in the order of their
// Sequence; the last of each kind is enough, because a signal that a later one
// of its kind follows leaves no trace.
func (p Published) After(s events.Signal) Published {
	if s.Sequence <= p.sequence {
		return p
	}
	p.sequence = s.Sequence
	switch s.Kind {
	case events.SignalExhausted:
		p.exhausted = true
	case events.SignalRestored:
		p.exhausted = false
	case events.SignalBudgetExceeded, events.SignalBudgetRestored:
		p.exceeded = s.Exceeded
	case events.SignalTopUpRequested:
		p.topUp = max(p.topUp, numberOf(s.TopUp, s.Account))
	}
	m := mark{cause: s.Cause, kind: s.Kind, threshold: s.Threshold}
	// A lower cause leaves the mark where it is: that only happens to a
	// restored that had no cause of its own.
	c := comparePlace(m.cause, p.mark.cause)
	if c > 0 || c == 0 && rank(m.kind) >= rank(p.mark.kind) || reused(m.cause, p.mark.cause) {
		p.mark = m
	}
	return p
}

// Cause returns the cause that was published last in the order of causes. While
// LEDGER holds it, a balance that is Before it is just late.
func (p Published) Cause() events.Cause { return p.mark.cause }

// Before reports whether b stands before what was published: it is late, or
// LEDGER has lost the entry that was the cause.
func (p Published) Before(b events.Balance) bool {
	c := placeOf(b)
	return comparePlace(c, p.mark.cause) < 0 && !reused(c, p.mark.cause)
}

// React returns what is to be published of an account, in order: by cause, and
// at one cause restored, then low from the highest level down, then that
// overage started, then exhausted, then budgets restored and exceeded, then the
// request for a top-up.
// A balance that stands before what was published yields nothing. React is
// total, and after the signals it returned it returns none.
func React(p Published, b events.Balance) []events.Signal {
	if p.Before(b) {
		return nil
	}
	return react(p, b, reused(placeOf(b), p.mark.cause))
}

// ReactRewound is React for an account whose LEDGER has lost the entry that was
// the cause of what was published: what the balance says counts, wherever it
// stands.
func ReactRewound(p Published, b events.Balance) []events.Signal { return react(p, b, true) }

func react(p Published, b events.Balance, rewound bool) []events.Signal {
	if again, ok := p.redone(b); ok {
		p.mark.cause, rewound = again, false
	}
	signals := slices.Concat(p.pending(b, rewound), p.budgets(b), p.topUps(b))
	slices.SortStableFunc(signals, func(a, b events.Signal) int {
		return cmp.Or(comparePlace(a.Cause, b.Cause), cmp.Compare(rank(a.Kind), rank(b.Kind)))
	})
	p.number(signals)
	return signals
}

// redone finds the cause of the mark at another place of the ledger: its entry
// was lost, and the same usage event was charged or the same grant issued again.
func (p Published) redone(b events.Balance) (events.Cause, bool) {
	was := p.mark.cause
	causes := make([]*events.Cause, 0, len(b.Levels)+len(b.Budgets))
	for _, l := range b.Levels {
		causes = append(causes, l.Since)
	}
	for _, u := range b.Budgets {
		causes = append(causes, u.Since)
	}
	if b.TopUp != nil {
		causes = append(causes, b.TopUp.Since)
	}
	for _, c := range causes {
		if c != nil && c.ID != "" && c.ID == was.ID && c.Source == was.Source && c.Kind == was.Kind && reusedOrAfter(*c, was) {
			return *c, true
		}
	}
	return events.Cause{}, false
}

// pending returns the signals to publish of b, those of kind low from the
// highest level down, then that overage started. Exhausted and restored take turns, whatever their causes:
// an account is told how it stands.
func (p Published) pending(b events.Balance, rewound bool) []events.Signal {
	stop, ok := levelOf(events.SignalExhausted, b.Levels)
	if ok && stop.Reached && p.exhausted {
		return nil // as it was told; what lay between, nobody saw
	}
	var signals []events.Signal
	for i, l := range lows(b.Levels) {
		if l.Reached && l.Since != nil && p.owesLow(i, *l.Since, b.Levels, rewound) {
			signals = append(signals, signal(events.SignalLow, b, l, *l.Since))
		}
	}
	overage, mayOwe := levelOf(events.SignalOverageStarted, b.Levels)
	if overage.Reached && overage.Since != nil && p.owesOverage(*overage.Since, rewound) {
		signals = append(signals, signal(events.SignalOverageStarted, b, overage, *overage.Since))
	}
	switch {
	case !ok && mayOwe && p.exhausted: // nothing exhausts it any more
		signals = append(signals, signal(events.SignalRestored, b, overage, restoredBy(events.Level{}, b)))
	case !ok:
	case !stop.Reached && p.exhausted:
		signals = append(signals, signal(events.SignalRestored, b, stop, restoredBy(stop, b)))
	case stop.Reached && stop.Since != nil:
		signals = append(signals, signal(events.SignalExhausted, b, stop, *stop.Since))
	}
	return signals
}

// owesLow reports whether the i-th of the low levels, reached by cause c, comes
// after the mark. When the terms no longer name the level the mark stands at,
// all low levels of that cause count as published: nothing is said twice. When
// LEDGER has lost the cause of the mark, what it lost tells what was said: what
// is recorded later is news.
func (p Published) owesLow(i int, c events.Cause, levels []events.Level, rewound bool) bool {
	if rewound {
		return c.At.After(p.mark.cause.At)
	}
	at := comparePlace(c, p.mark.cause)
	if at != 0 || rank(p.mark.kind) != rank(events.SignalLow) {
		return at > 0 || at == 0 && rank(p.mark.kind) < rank(events.SignalLow)
	}
	published := len(levels)
	for j, l := range lows(levels) {
		if l.Threshold == p.mark.threshold {
			published = j
		}
	}
	return i > published
}

// owesOverage reports whether overage that cause c started comes after the mark.
func (p Published) owesOverage(c events.Cause, rewound bool) bool {
	if rewound {
		return c.At.After(p.mark.cause.At)
	}
	at := comparePlace(c, p.mark.cause)
	return at > 0 || at == 0 && rank(p.mark.kind) < rank(events.SignalOverageStarted)
}

// restoredBy is the entry that lifted the account above its hard stop. Changed
// terms can do so without crossing the level; then it is the account's last.
func restoredBy(stop events.Level, b events.Balance) events.Cause {
	if stop.Since != nil {
		return *stop.Since
	}
	c := placeOf(b)
	c.Kind = events.EntryAccount
	return c
}

func signal(kind events.SignalKind, b events.Balance, l events.Level, c events.Cause) events.Signal {
	return events.Signal{
		Account: b.Account, Kind: kind, Threshold: l.Threshold, Scope: events.ScopeAccount,
		Balance: events.SignalBalance{Available: b.Available, Held: b.Held, Overage: b.Overage},
		Cause:   c, At: c.At,
	}
}

// lows returns the levels of kind low, the highest first.
func lows(levels []events.Level) []events.Level {
	low := slices.DeleteFunc(slices.Clone(levels), func(l events.Level) bool { return l.Kind != events.SignalLow })
	slices.SortStableFunc(low, func(a, b events.Level) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Threshold, b.Threshold))
	})
	return low
}

// levelOf returns the level of a kind that an account has at most one of.
func levelOf(k events.SignalKind, levels []events.Level) (events.Level, bool) {
	i := slices.IndexFunc(levels, func(l events.Level) bool { return l.Kind == k })
	if i < 0 {
		return events.Level{}, false
	}
	return levels[i], true
}

// placeOf is the place of the account's last entry.
func placeOf(b events.Balance) events.Cause {
	return events.Cause{Sequence: b.Sequence, Index: b.Index, At: b.At}
}

// comparePlace compares where two causes stand in the ledger.
func comparePlace(a, b events.Cause) int {
	return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.Index, b.Index))
}

// reused reports that a does not stand behind b and was recorded later all the
// same: LEDGER lost its end with b, and gave the sequence out again.
func reused(a, b events.Cause) bool { return a.Sequence <= b.Sequence && a.At.After(b.At) }

func reusedOrAfter(a, b events.Cause) bool { return comparePlace(a, b) > 0 || reused(a, b) }

// rank orders the signals of one cause.
func rank(k events.SignalKind) int {
	switch k {
	case events.SignalRestored:
		return 1
	case events.SignalLow:
		return 2
	case events.SignalOverageStarted:
		return 3
	case events.SignalExhausted:
		return 4
	case events.SignalBudgetRestored:
		return 5
	case events.SignalBudgetExceeded:
		return 6
	case events.SignalTopUpRequested:
		return 7
	}
	return 0
}
