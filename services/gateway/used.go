package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// checkUnused refuses a rate card that would be in force for usage that another
// version was charged for.
func (g *Gateway) checkUnused(ctx context.Context, card events.RateCard) error {
	from := card.EffectiveFrom
	if from.IsZero() || from.After(g.Now().Add(2*g.MaxAhead)) {
		return nil // from when it is recorded, or later than any event
	}
	versions, err := g.versions(ctx, card.Card)
	if err != nil || len(versions) == 0 || sameCard(versions[len(versions)-1], card) {
		return err
	}
	var book []rerate.Version
	for _, v := range versions {
		book = append(book, rerate.Version{Card: v})
	}
	use, source, err := g.cardUsed(ctx, card.Card, from, rerate.NewBook(book...).Until(from))
	if err != nil || use.Events == 0 {
		return err
	}
	p := newProblem(http.StatusConflict, "%d events that happened from %s on were charged by another version of rate card %s, the first at %s (according to %s); "+
		"have it come into force after them, or apply it with --retroactive (?retroactive=true), which amends each whose charge differs",
		use.Events, from.UTC().Format(time.RFC3339Nano), card.Card, use.First.UTC().Format(time.RFC3339Nano), source)
	p.Errors = []Fault{{Path: "/effective_from", Code: "used", Detail: p.Detail}}
	return p
}

// versions are all versions of a rate card, in their order.
func (g *Gateway) versions(ctx context.Context, card string) ([]events.RateCard, error) {
	summaries, err := g.cardVersions(ctx, card)
	if err != nil {
		return nil, err
	}
	all := make([]events.RateCard, 0, len(summaries))
	for _, s := range summaries {
		v, ok, err := lookup[events.RateCard](ctx, g, g.Streams.Catalog, cardKey(card, s.Version))
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, v)
		}
	}
	return all, nil
}

// sameCard reports whether applying asked again after last changes nothing.
func sameCard(last, asked events.RateCard) bool {
	if asked.Rounding == "" {
		asked.Rounding = events.RoundHalfUp
	}
	asked.Version = last.Version
	asked.EffectiveFrom, last.EffectiveFrom = asked.EffectiveFrom.UTC(), last.EffectiveFrom.UTC()
	a, aErr := json.Marshal(last)
	b, bErr := json.Marshal(asked)
	return aErr == nil && bErr == nil && bytes.Equal(a, b)
}

// cardUsed counts the events that happened from a time on, until before another
// unless it is zero, for which some version of the card was charged. It asks
// ClickHouse, and the ledger about what ClickHouse does not hold yet; the ledger
// about all while there is none or it does not answer.
func (g *Gateway) cardUsed(ctx context.Context, card string, from, until time.Time) (use analytics.CardUse, source string, err error) {
	source, rest := "the ledger", stream.From{Since: from.Add(-g.MaxAhead)}
	if g.Analytics != nil {
		asked, cancel := context.WithTimeout(ctx, historyPeriod)
		defer cancel()
		through, err := g.Analytics.ProjectedThrough(asked)
		if err == nil {
			use, err = g.Analytics.CardUsed(asked, card, from, until, through)
		}
		if err == nil {
			source, rest = "ClickHouse and the ledger", stream.From{Sequence: through + 1}
		} else {
			g.Logger.Warn("use of a rate card is read from the ledger", "card", card, "err", err)
			source = "the ledger, because ClickHouse does not answer"
		}
	}
	ledger := g.broker.Log(events.StreamLedger)
	state, err := ledger.State(ctx)
	if err != nil {
		return use, source, err
	}
	tell := g.progress(ctx)
	err = stream.Each(ctx, ledger, rest, func(m stream.Message) error {
		if tell != nil {
			tell(m.Sequence, state.Last)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
		}
		for _, e := range chunk.Entries {
			if e.Debit != nil && e.Debit.Card == card && !e.Debit.Time.Before(from) && (until.IsZero() || e.Debit.Time.Before(until)) {
				use.Events++
				if use.First.IsZero() || e.Debit.Time.Before(use.First) {
					use.First = e.Debit.Time
				}
			}
		}
		return nil
	}, "ledger.*."+string(events.WriterUsage))
	return use, source, err
}
