package books

import (
	"math/big"
	"slices"
	"strings"
)

const (
	exhausted      = "exhausted"
	restored       = "restored"
	budgetRestored = "budget_restored"
)

// Crossing is a way across a level: low, exhausted and overage_started of a
// threshold, restored where exhausted ends, budget_exceeded and budget_restored
// of a budget's value.
type Crossing struct{ Kind, Threshold string }

// Level is where an account stands with a threshold.
type Level struct {
	Kind      string
	Threshold string
	At        int64
	Reached   bool
	Since     Place
}

// adopt puts terms into effect. A level written the same way stays as it is.
func (a *Account) adopt(t Terms) {
	a.terms = t
	texts := t.Thresholds
	if len(texts) == 0 {
		texts = []string{"20%"}
	}
	before := a.levels
	a.levels = nil
	add := func(kind, text string) {
		l := &Level{Kind: kind, Threshold: text}
		for _, old := range before {
			if old.Kind == kind && old.Threshold == text {
				*l = *old
			}
		}
		a.levels = append(a.levels, l)
	}
	for _, text := range texts {
		add("low", text)
	}
	soft := t.Overage == "soft" && t.OverageLimit != nil
	switch {
	case t.Overage == "postpaid":
		add("overage_started", "0")
	case soft:
		add("overage_started", "0")
		add(exhausted, (-*t.OverageLimit).String())
	case t.HardStopAt != nil:
		add(exhausted, t.HardStopAt.String())
	default:
		add(exhausted, "0")
	}
	for _, old := range before {
		if old.Kind == exhausted && old.Reached && !slices.ContainsFunc(a.levels, func(l *Level) bool { return l.Threshold == old.Threshold && l.Kind == exhausted }) {
			a.ended[Crossing{Kind: restored}] = a.At
		}
	}
	a.rebase()
	a.adoptBudgets()
}

// rebase works out what the levels are in credits.
func (a *Account) rebase() {
	base := a.topped
	if a.period != nil && a.period.running {
		base = a.period.outlived + a.period.granted
	}
	for _, l := range a.levels {
		number, percent := strings.CutSuffix(l.Threshold, "%")
		var c Credits
		if err := c.UnmarshalText([]byte(number)); err != nil {
			panic("books: no threshold: " + l.Threshold)
		}
		if l.At = int64(c); percent {
			share := new(big.Int).Mul(big.NewInt(base), big.NewInt(l.At))
			l.At = share.Div(share, big.NewInt(100_000_000)).Int64()
		}
	}
}

// evaluate notes which levels are crossed.
func (a *Account) evaluate() {
	if a.granted == 0 && a.Charged == 0 && !a.touched {
		return
	}
	available := a.Available()
	for _, l := range a.levels {
		reached := available-a.overage <= l.At
		if l.Kind == "overage_started" {
			reached = a.overage > 0
		}
		if reached == l.Reached {
			continue
		}
		l.Reached, l.Since = reached, a.At
		switch {
		case reached:
			a.cross(Crossing{l.Kind, l.Threshold})
		case l.Kind == exhausted:
			a.cross(Crossing{restored, l.Threshold})
		}
	}
}

// Crossed reports whether the entry at p had the account cross c. Terms that
// change end a level or a budget that was reached without a crossing: what comes
// behind may be told as the cause that it does not hold any more.
func (a *Account) Crossed(c Crossing, p Place) bool {
	if slices.Contains(a.Crossings[c], p) {
		return true
	}
	if c.Kind == restored {
		c.Threshold = "" // it names the level that the new terms have
	}
	ended, ok := a.ended[c]
	return ok && !ended.After(p)
}

func (a *Account) cross(c Crossing) { a.Crossings[c] = append(a.Crossings[c], a.At) }
