package books

import (
	"math/big"
	"strings"
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
		add("exhausted", (-*t.OverageLimit).String())
	case t.HardStopAt != nil:
		add("exhausted", t.HardStopAt.String())
	default:
		add("exhausted", "0")
	}
	a.rebase()
	a.adoptBudgets()
}

// rebase works out what the levels are in credits.
func (a *Account) rebase() {
	base := a.topped
	if a.period != nil && a.period.running {
		base = a.period.granted
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
	available := a.available()
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
		case l.Kind == "exhausted":
			a.cross(Crossing{"restored", l.Threshold})
		}
	}
}

func (a *Account) cross(c Crossing) { a.Crossings[c] = append(a.Crossings[c], a.At) }
