package oracle

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
)

// signal is a message of SIGNALS.
type signal struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Data    struct {
		Account   string      `json:"account"`
		Kind      string      `json:"kind"`
		Threshold string      `json:"threshold"`
		Scope     string      `json:"scope"`
		Per       string      `json:"per"`
		Exceeded  []string    `json:"exceeded"`
		Sequence  int         `json:"sequence"`
		Cause     books.Place `json:"cause"`
	} `json:"data"`
}

// crossing is what a signal says was crossed.
func (s *signal) crossing() books.Crossing {
	d := s.Data
	if d.Per != "" {
		return books.Crossing{Kind: d.Kind, Threshold: d.Scope + " per " + d.Per}
	}
	return books.Crossing{Kind: d.Kind, Threshold: d.Threshold}
}

// told is what the signals told an account so far.
type told struct {
	count     int
	exhausted bool
	exceeded  []string                       // budgets
	last      books.Place                    // the cause of the last one
	causes    map[books.Crossing]books.Place // the last of each
}

// compareSignals follows every account's signals.
func (o *Oracle) compareSignals(ctx context.Context, r *Report) error {
	accounts := map[string]*told{}
	through := uint64(0)
	err := o.read(ctx, "SIGNALS", &through, func(m message) error {
		var s signal
		if err := json.Unmarshal(m.data, &s); err != nil {
			return fmt.Errorf("decode %s: %w", m.subject, err)
		}
		t := accounts[s.Data.Account]
		if t == nil {
			t = &told{causes: map[books.Crossing]books.Place{}}
			accounts[s.Data.Account] = t
		}
		o.signal(r, m, s, t)
		return nil
	})
	if err != nil {
		return err
	}
	o.told = accounts
	for name, a := range o.ledger.books.Accounts {
		t := accounts[name]
		if t == nil {
			t = &told{}
		}
		o.owed(r, name, a.Balance(), t)
	}
	return nil
}

// owed looks for what an account is not told.
func (o *Oracle) owed(r *Report, name string, b books.Balance, told *told) {
	missing := func(format string, args ...any) {
		r.Differences.add("signal missing", "%s, told %d: %s", name, told.count, fmt.Sprintf(format, args...))
	}
	exhausted := slices.ContainsFunc(b.Levels, func(l books.LevelBalance) bool { return l.Kind == "exhausted" && l.Reached })
	if told.exhausted != exhausted {
		missing("told exhausted=%t; it is %t", told.exhausted, exhausted)
	}
	for _, l := range b.Levels {
		if l.Kind != "exhausted" && l.Reached && l.Since != nil && !exhausted && l.Since.After(told.last) {
			missing("not told %s %s, which it is since LEDGER %v", l.Kind, l.Threshold, *l.Since)
		}
	}
	if t := b.TopUp; t != nil && t.State == "pending" && told.causes[books.Crossing{Kind: "topup_requested", Threshold: t.Request.Below.String()}] != *t.Since {
		missing("not told of %s, requested at LEDGER %v", t.Request.ID, *t.Since)
	}
	var exceeded []string
	for _, u := range b.Budgets {
		if u.Exceeded {
			exceeded = append(exceeded, u.Scope+" per "+u.Per)
		}
	}
	slices.Sort(exceeded)
	if exceeded = slices.Compact(exceeded); !slices.Equal(exceeded, told.exceeded) {
		missing("told that %v are exceeded; it is %v", told.exceeded, exceeded)
	}
}

// signal checks one signal against those before it and against the books.
func (o *Oracle) signal(r *Report, m message, s signal, t *told) {
	r.Signals++
	name, kind, cause, what := s.Data.Account, s.Data.Kind, s.Data.Cause, s.crossing()
	wrong := func(format string, args ...any) {
		r.Differences.add("wrong signal", "SIGNALS %d (%s %s %d): %s", m.sequence, kind, name, s.Data.Sequence, fmt.Sprintf(format, args...))
	}
	t.count++
	if s.Data.Sequence != t.count || s.ID != fmt.Sprintf("%s.%d", name, t.count) {
		wrong("expected the account's signal %d", t.count)
	}
	if m.subject != "credits."+kind+"."+name || s.Subject != name {
		wrong("under subject %s, about %s", m.subject, s.Subject)
	}
	a := o.ledger.books.Accounts[name]
	if a == nil {
		wrong("the ledger has no such account")
		return
	}
	switch kind {
	case "exhausted":
		r.Exhausted++
		if t.exhausted {
			wrong("the account was told so before")
		}
		t.exhausted = true
	case "restored":
		if !t.exhausted {
			wrong("the account was not told that it is exhausted")
		}
		t.exhausted = false
	case "budget_exceeded", "budget_restored":
		r.Budgets++
		t.budget(s, wrong)
	case "topup_requested":
		r.TopUps++
	case "low", "overage_started":
	default:
		wrong("unknown kind")
	}
	if !a.Crossed(what, cause) {
		wrong("LEDGER %v did not bring it about", cause)
	}
	if t.last.After(cause) {
		wrong("its cause at LEDGER %v stands before that of the signal before, %v", cause, t.last)
	}
	if before, ok := t.causes[what]; ok && !cause.After(before) {
		wrong("the crossing at LEDGER %v was told before", cause)
	}
	t.last, t.causes[what] = cause, cause
}

// budget notes that a budget is exceeded, or not any more.
func (t *told) budget(s signal, wrong func(string, ...any)) {
	name := s.crossing().Threshold
	at, known := slices.BinarySearch(t.exceeded, name)
	if exceeded := s.Data.Kind == "budget_exceeded"; exceeded == known {
		wrong("the account was told so before")
	} else if exceeded {
		t.exceeded = slices.Insert(t.exceeded, at, name)
	} else {
		t.exceeded = slices.Delete(t.exceeded, at, at+1)
	}
	if !slices.Equal(t.exceeded, s.Data.Exceeded) {
		wrong("it says that %v are exceeded; expected %v", s.Data.Exceeded, t.exceeded)
	}
}
