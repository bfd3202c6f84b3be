package oracle

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
)

// compareBalances compares every balance in the bucket with the fold.
func (o *Oracle) compareBalances(ctx context.Context, r *Report) error {
	found := map[string]books.Balance{}
	through := uint64(0)
	err := o.read(ctx, "KV_BALANCES", &through, func(m message) error {
		var b books.Balance
		if err := json.Unmarshal(m.data, &b); err != nil {
			return fmt.Errorf("decode %s: %w", m.subject, err)
		}
		b.Order()
		found[strings.TrimPrefix(m.subject, "$KV.BALANCES.")] = b
		return nil
	})
	if err != nil {
		return err
	}
	for name := range found {
		if o.ledger.books.Accounts[name] == nil {
			r.Differences.add("unknown balance", "%s", name)
		}
	}
	for name, a := range o.ledger.books.Accounts {
		b, ok := found[name]
		if !ok {
			r.Differences.add("balance missing", "%s", name)
			continue
		}
		if diff := cmp.Diff(a.Balance(), b); diff != "" {
			r.Differences.add("wrong balance", "%s (-oracle +bucket):\n%s", name, diff)
		}
	}
	return nil
}

// compareAnswers compares what commands were answered with what the books made
// of them.
func (o *Oracle) compareAnswers(r *Report) {
	for _, asked := range o.log.asked {
		r.Commands += len(asked)
	}
	r.Answers = len(o.log.answers)
	for _, a := range o.log.answers {
		key := commandKey{a.Kind, a.Account, a.ID}
		wrong := func(format string, args ...any) {
			r.Differences.add("wrong answer", "%v was answered %d, %s at LEDGER %d: %s", key, a.Status, a.Outcome, a.Sequence, fmt.Sprintf(format, args...))
		}
		d, known := o.ledger.decisions[a.Sequence]
		yes := a.Outcome == "applied" || a.Outcome == "unchanged"
		switch {
		case a.Outcome == "insufficient":
			if !o.ledger.short[key] {
				wrong("it never was")
			}
		case a.Sequence == 0 && a.Kind != "account" && a.Kind != "plan":
			wrong("it names no entry")
		case a.Sequence == 0 && a.Status != http.StatusOK:
			wrong("nothing is wrong with it")
		case a.Sequence == 0:
		case !known || d.commandKey != key:
			wrong("there stands %v", d)
		case a.Kind == "correction" && a.Outcome == "unchanged" && d.outcome == "applied": // it names the one that stands
		case a.Outcome != d.outcome, yes && (a.Available != d.available || a.Held != d.held):
			wrong("it is %s, with %d available and %d held; the answer says %d and %d", d.outcome, d.available, d.held, a.Available, a.Held)
		}
	}
}
