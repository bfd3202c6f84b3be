package policy

import (
	"cmp"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// Published is what an account was told so far. The zero value is an account
// that was told nothing.
type Published struct {
	sequence  uint64 // of the last signal
	exhausted bool   // the last of exhausted and restored was exhausted
	mark      mark
}

// mark is the place of the signal that stands last in the order of causes.
type mark struct {
	sequence  uint64
	index     int
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
	}
	m := mark{sequence: s.Cause.Sequence, index: s.Cause.Index, kind: s.Kind, threshold: s.Threshold}
	// A lower cause leaves the mark where it is: that only happens to a
	// restored that had no cause of its own.
	if c := comparePlace(m, p.mark); c > 0 || c == 0 && rank(m.kind) >= rank(p.mark.kind) {
		p.mark = m
	}
	return p
}

// React returns what is to be published of an account, in order: by cause, and
// at one cause restored, then low from the highest level down, then exhausted.
// A balance that stands before what was published yields nothing. React is
// total, and after the signals it returned it returns none.
func React(p Published, b events.Balance) []events.Signal {
	if comparePlace(mark{sequence: b.Sequence, index: b.Index}, p.mark) < 0 {
		return nil
	}
	signals := p.pending(b)
	slices.SortStableFunc(signals, func(a, b events.Signal) int {
		return cmp.Or(
			cmp.Compare(a.Cause.Sequence, b.Cause.Sequence),
			cmp.Compare(a.Cause.Index, b.Cause.Index),
			cmp.Compare(rank(a.Kind), rank(b.Kind)),
		)
	})
	for i := range signals {
		signals[i].Sequence = p.sequence + 1 + uint64(i)
	}
	return signals
}

// pending returns the signals to publish of b, those of kind low from the
// highest level down.
func (p Published) pending(b events.Balance) []events.Signal {
	stop, ok := hardStop(b.Levels)
	if ok && stop.Reached && p.exhausted {
		return nil // as it was told; what lay between, nobody saw
	}
	var signals []events.Signal
	for i, l := range lows(b.Levels) {
		if l.Reached && l.Since != nil && p.owesLow(i, *l.Since, b.Levels) {
			signals = append(signals, signal(events.SignalLow, b, l, *l.Since))
		}
	}
	switch {
	case !ok:
	case !stop.Reached && p.exhausted:
		signals = append(signals, signal(events.SignalRestored, b, stop, restoredBy(stop, b)))
	case stop.Reached && stop.Since != nil && p.owesStop(*stop.Since):
		signals = append(signals, signal(events.SignalExhausted, b, stop, *stop.Since))
	}
	return signals
}

// owesLow reports whether the i-th of the low levels, reached by cause c, comes
// after the mark. When the terms no longer name the level the mark stands at,
// all low levels of that cause count as published: nothing is said twice.
func (p Published) owesLow(i int, c events.Cause, levels []events.Level) bool {
	at := comparePlace(mark{sequence: c.Sequence, index: c.Index}, p.mark)
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

func (p Published) owesStop(c events.Cause) bool {
	at := comparePlace(mark{sequence: c.Sequence, index: c.Index}, p.mark)
	return at > 0 || at == 0 && rank(p.mark.kind) < rank(events.SignalExhausted)
}

// restoredBy is the entry that lifted the account above its hard stop. Changed
// terms can do so without crossing the level; then it is the account's last.
func restoredBy(stop events.Level, b events.Balance) events.Cause {
	if stop.Since != nil {
		return *stop.Since
	}
	return events.Cause{Sequence: b.Sequence, Index: b.Index, Kind: events.EntryAccount, At: b.At}
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

// hardStop returns the level of kind exhausted; an account has one.
func hardStop(levels []events.Level) (events.Level, bool) {
	i := slices.IndexFunc(levels, func(l events.Level) bool { return l.Kind == events.SignalExhausted })
	if i < 0 {
		return events.Level{}, false
	}
	return levels[i], true
}

// comparePlace compares where two causes stand in the ledger.
func comparePlace(a, b mark) int {
	return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.index, b.index))
}

// rank orders the signals of one cause.
func rank(k events.SignalKind) int {
	switch k {
	case events.SignalRestored:
		return 1
	case events.SignalLow:
		return 2
	case events.SignalExhausted:
		return 3
	}
	return 0
}
