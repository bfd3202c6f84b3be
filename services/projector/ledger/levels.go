package ledger

import (
	"cmp"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// level is where an account stands with the threshold of the same index.
type level struct {
	at      events.Credits
	reached bool
	since   *events.Cause // of reached; nil until it first changed
}

// adopt makes t the account's terms. A level that t has too, by kind and text,
// stays as it is; a new one is not reached yet.
func (a *account) adopt(t *terms) {
	levels := make([]level, len(t.levels))
	for i, l := range t.levels {
		for j := range a.levels {
			if old := a.terms.levels[j]; old.kind == l.kind && old.text == l.text {
				levels[i] = a.levels[j]
			}
		}
	}
	a.terms, a.levels = t, levels
	a.rebase()
}

// rebase works out the levels in credits anew. Percentages are of what outlived
// the start of the running period and what took effect in it, or without one of
// what was available right after a grant last took effect, what is held included.
func (a *account) rebase() {
	base := a.topped
	if a.cycle != nil && a.cycle.running {
		base = a.cycle.outlived + a.cycle.granted
	}
	for i, l := range a.terms.levels {
		a.levels[i].at = l.at(base)
	}
}

// evaluate notes which levels the account crossed, once it was ever granted or
// charged anything.
func (x *step) evaluate() {
	a := x.account
	if !a.began() {
		return
	}
	for i := range a.levels {
		l := &a.levels[i]
		if reached := a.reached(a.terms.levels[i], l.at); reached != l.reached {
			l.reached = reached
			l.since = x.causeOf()
		}
	}
}

// causeOf names the entry on its way, also for what time did before it.
func (x *step) causeOf() *events.Cause {
	if x.cause != nil {
		return x.cause
	}
	e := &x.entry
	x.cause = &events.Cause{
		Sequence: x.point.Sequence, Index: x.point.Index,
		Kind: e.Kind, At: x.account.at.time(),
	}
	switch {
	case e.Kind == events.EntryDebit && e.Debit != nil:
		x.cause.Source, x.cause.ID = e.Debit.Source, e.Debit.ID
	case e.Kind == events.EntryGrant && e.Grant != nil:
		x.cause.ID = e.Grant.ID
	case e.Kind == events.EntryVoid && e.Void != nil:
		x.cause.ID = e.Void.Grant
	case e.Kind == events.EntryCorrection && e.Correction != nil:
		x.cause.Source, x.cause.ID = e.Correction.Source, e.Correction.ID
	case e.Kind == events.EntryHold && e.Hold != nil:
		x.cause.ID = e.Hold.ID
	case e.Kind == events.EntryCapture && e.Capture != nil:
		x.cause.ID = e.Capture.Hold
	case e.Kind == events.EntryRelease && e.Release != nil:
		x.cause.ID = e.Release.Hold
	case e.Kind == events.EntryAdjust && e.Adjust != nil:
		x.cause.ID = e.Adjust.ID
	case e.Kind == events.EntryDecline && e.Decline != nil:
		x.cause.ID = e.Decline.TopUp
	}
	return x.cause
}

// balanceLevels returns the levels for a Balance: highest first, as written
// where equal, then those of overage.
func (a *account) balanceLevels() []events.Level {
	levels := make([]events.Level, len(a.levels))
	for i, l := range a.levels {
		t := a.terms.levels[i]
		levels[i] = events.Level{Kind: t.kind, Threshold: t.text, At: l.at, Reached: l.reached}
		if l.since != nil {
			cause := *l.since
			levels[i].Since = &cause
		}
	}
	slices.SortStableFunc(levels[:len(a.terms.lows())], func(a, b events.Level) int {
		return cmp.Compare(b.At, a.At)
	})
	return levels
}
