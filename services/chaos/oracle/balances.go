package oracle

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// balance is what a balance says, as far as the oracle folds it itself.
type balance struct {
	Account   string         `json:"account"`
	Available string         `json:"available"`
	Overage   string         `json:"overage"`
	Granted   string         `json:"granted"`
	Remaining string         `json:"remaining"`
	Drawn     string         `json:"drawn"`
	Expired   string         `json:"expired"`
	Voided    string         `json:"voided"`
	Charged   string         `json:"charged"`
	Grants    []grantBalance `json:"grants"`
	More      int            `json:"more_grants"`
	Levels    []levelBalance `json:"levels"`
	Sequence  uint64         `json:"sequence"`
	Index     int            `json:"index"`
}

type grantBalance struct {
	ID        string `json:"id"`
	Remaining string `json:"remaining"`
}

type levelBalance struct {
	Kind    string      `json:"kind"`
	At      string      `json:"at"`
	Reached bool        `json:"reached"`
	Since   *sinceEntry `json:"since"`
}

type sinceEntry struct {
	Sequence uint64 `json:"sequence"`
	Index    int    `json:"index"`
}

// grantsMax is how many grants a balance lists.
const grantsMax = 100

// compareBalances compares every balance in the bucket with the fold.
func (o *Oracle) compareBalances(ctx context.Context, r *Report) error {
	found := map[string]balance{}
	through := uint64(0)
	err := o.read(ctx, "KV_BALANCES", &through, func(m message) error {
		var b balance
		if err := json.Unmarshal(m.data, &b); err != nil {
			return fmt.Errorf("decode %s: %w", m.subject, err)
		}
		found[strings.TrimPrefix(m.subject, "$KV.BALANCES.")] = b
		return nil
	})
	if err != nil {
		return err
	}
	for name := range found {
		if o.ledger.accounts[name] == nil {
			r.Differences.add("unknown balance", "%s", name)
		}
	}
	for name, a := range o.ledger.accounts {
		b, ok := found[name]
		if !ok {
			r.Differences.add("balance missing", "%s", name)
			continue
		}
		if diff := cmp.Diff(a.balance(), b); diff != "" {
			r.Differences.add("wrong balance", "%s (-oracle +bucket):\n%s", name, diff)
		}
	}
	return nil
}

// balance is the account as its balance should show it.
func (a *account) balance() balance {
	b := balance{
		Account: a.name, Available: credits(a.available()), Overage: credits(a.overage), Granted: credits(a.granted),
		Remaining: credits(a.remaining()), Drawn: credits(a.drawn), Expired: credits(a.expired), Voided: credits(a.voided),
		Charged: credits(a.charged), Sequence: a.at.sequence, Index: a.at.index,
	}
	for _, open := range [][]*grant{a.active, a.pending} {
		for _, g := range open {
			if len(b.Grants) == grantsMax {
				b.More++
				continue
			}
			b.Grants = append(b.Grants, grantBalance{g.id, credits(g.remaining)})
		}
	}
	b.Levels = []levelBalance{a.low.balance("low"), a.stop.balance("exhausted")}
	return b
}

func (l *level) balance(kind string) levelBalance {
	b := levelBalance{Kind: kind, At: credits(l.at), Reached: l.reached}
	if l.since != (place{}) {
		b.Since = &sinceEntry{l.since.sequence, l.since.index}
	}
	return b
}

// credits writes micro-credits as credits, without needless zeros.
func credits(micro int64) string {
	text := fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// compareAnswers compares what commands were answered with what the fold made
// of them.
func (o *Oracle) compareAnswers(r *Report) {
	r.Grants = len(o.log.grants)
	for _, answer := range o.log.answers {
		var g *grant
		if a := o.ledger.accounts[answer.Account]; a != nil {
			g = a.known[answer.Grant]
		}
		yes := answer.Status == 200 || answer.Status == 201
		switch {
		case !answer.Void && yes != (g != nil):
			r.Differences.add("wrong answer to a grant", "%s of %s was answered %d; in force: %t", answer.Grant, answer.Account, answer.Status, g != nil)
		case answer.Void && yes && (g == nil || g.state != "voided"):
			r.Differences.add("wrong answer to a void", "%s of %s was answered %d and is not void", answer.Grant, answer.Account, answer.Status)
		}
	}
}
