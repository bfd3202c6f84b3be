package oracle

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// signal is a message of SIGNALS.
type signal struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Data    struct {
		Account  string     `json:"account"`
		Kind     string     `json:"kind"`
		Sequence int        `json:"sequence"`
		Cause    sinceEntry `json:"cause"`
	} `json:"data"`
}

// told is what the signals told an account so far.
type told struct {
	count     int
	exhausted bool
	last      place            // the cause of the last one
	causes    map[string]place // the last of each kind
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
			t = &told{causes: map[string]place{}}
			accounts[s.Data.Account] = t
		}
		o.signal(r, m, s, t)
		return nil
	})
	if err != nil {
		return err
	}
	o.told = accounts
	for name, a := range o.ledger.accounts {
		t := accounts[name]
		if t == nil {
			t = &told{}
		}
		if t.exhausted != a.stop.reached {
			r.Differences.add("signal missing", "%s: told exhausted=%t after %d signals; it is %t since LEDGER %v", name, t.exhausted, t.count, a.stop.reached, a.stop.since)
		}
		if a.low.reached && !a.stop.reached && after(a.low.since, t.last) {
			r.Differences.add("signal missing", "%s: not told low, which it is since LEDGER %v", name, a.low.since)
		}
	}
	return nil
}

// signal checks one signal against those before it and against the fold.
func (o *Oracle) signal(r *Report, m message, s signal, t *told) {
	r.Signals++
	name, kind, cause := s.Data.Account, s.Data.Kind, place{s.Data.Cause.Sequence, s.Data.Cause.Index}
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
	a := o.ledger.accounts[name]
	if a == nil {
		wrong("the ledger has no such account")
		return
	}
	crossings := a.low.into
	switch kind {
	case "exhausted":
		r.Exhausted++
		crossings = a.stop.into
		if t.exhausted {
			wrong("the account was told so before")
		}
		t.exhausted = true
	case "restored":
		crossings = a.stop.outof
		if !t.exhausted {
			wrong("the account was not told that it is exhausted")
		}
		t.exhausted = false
	case "low":
	default:
		wrong("unknown kind")
	}
	if _, crossed := slices.BinarySearchFunc(crossings, cause, comparePlaces); !crossed {
		wrong("LEDGER %v did not bring it about", cause)
	}
	if after(t.last, cause) {
		wrong("its cause at LEDGER %v stands before that of the signal before, %v", cause, t.last)
	}
	if before, ok := t.causes[kind]; ok && !after(cause, before) {
		wrong("the crossing at LEDGER %v was told before", cause)
	}
	t.last, t.causes[kind] = cause, cause
}

func comparePlaces(a, b place) int {
	switch {
	case after(a, b):
		return 1
	case after(b, a):
		return -1
	}
	return 0
}

func after(a, b place) bool {
	return a.sequence > b.sequence || a.sequence == b.sequence && a.index > b.index
}
