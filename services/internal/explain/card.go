package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// card reads a version of a rate card from the catalogue. The arithmetic of the
// debit says all that matters, so an explanation does without it.
func (x Explainer) card(ctx context.Context, name string, version int) (events.RateCard, bool) {
	var card events.RateCard
	catalog := x.Ledger.Broker.Log(stream.BucketLog(events.BucketCatalog))
	m, ok, err := catalog.Last(ctx, stream.BucketSubject(events.BucketCatalog, fmt.Sprintf("%s%s.%d", events.CatalogRateCard, name, version)))
	if err != nil || !ok || m.Deletes() || json.Unmarshal(m.Data, &card) != nil {
		return card, false
	}
	return card, true
}

func roundingOf(card events.RateCard) events.Rounding {
	if card.Rounding == "" {
		return events.RoundHalfUp
	}
	return card.Rounding
}

func ruleOf(card events.RateCard, name string) *events.Rule {
	i := slices.IndexFunc(card.Rules, func(r events.Rule) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &card.Rules[i]
}

// Terms returns the summands that an arithmetic begins with, such as
// "4808 / 1000 × 0.15" and "0.01" of "0.01 + 4808 / 1000 × 0.15 = 0.7312";
// nil when there is one.
func Terms(arithmetic string) []string {
	var terms []string
	depth, begin := 0, 0
	for i := range len(arithmetic) {
		rest := arithmetic[i:]
		switch {
		case rest[0] == '(':
			depth++
		case rest[0] == ')':
			depth--
		case depth > 0:
		case strings.HasPrefix(rest, " + "):
			terms = append(terms, arithmetic[begin:i])
			begin = i + len(" + ")
		case strings.HasPrefix(rest, " = "), strings.HasPrefix(rest, " → "):
			if len(terms) == 0 {
				return nil
			}
			return append(terms, arithmetic[begin:i])
		}
	}
	return nil
}
