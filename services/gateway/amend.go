package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
)

func (g *Gateway) amendEvent(ctx context.Context, in *correctionInput) (*correctionOutput, error) {
	if g.CompileRateCard == nil {
		return nil, newProblem(http.StatusNotImplemented, "this gateway cannot rate")
	}
	body, err := decodeJSON[struct {
		VoidEvent
		Data jsontext.Value `json:"data"`
	}](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if faults := checkCorrection(body.VoidEvent); len(faults) > 0 {
		return nil, invalid("the correction is not valid", faults...)
	}
	data, err := decodeUsageData(body.Data)
	if err != nil {
		return nil, err
	}
	return g.correct(ctx, body.VoidEvent, func(ctx context.Context, e correction.Event) (correction.Charge, error) {
		return g.amendment(ctx, e, data)
	})
}

// decodeUsageData reads the data of a usage event as strictly as that of one that
// comes in: as a part of one in which all else is right.
func decodeUsageData(raw jsontext.Value) (events.UsageData, error) {
	if len(raw) == 0 {
		return events.UsageData{}, invalid("the correction is not valid",
			Fault{Path: "/data", Code: events.CodeMissing, Detail: "the data is absent; expected the whole data of the event anew"})
	}
	event, err := json.Marshal(struct {
		SpecVersion string         `json:"specversion"`
		Type        string         `json:"type"`
		Source      string         `json:"source"`
		ID          string         `json:"id"`
		Subject     string         `json:"subject"`
		Time        time.Time      `json:"time"`
		Data        jsontext.Value `json:"data"`
	}{"1.0", events.TypeUsage, "/amend", "amend", "amend", time.Unix(0, 0).UTC(), raw})
	if err != nil {
		return events.UsageData{}, invalid("the correction is not valid", Fault{Path: "/data", Code: events.CodeMalformed, Detail: err.Error()})
	}
	item := events.DecodeEvent(event)
	if item.Err != nil {
		return events.UsageData{}, invalid("the event's data is not valid", faultsOf(item.Err)...)
	}
	return item.Usage.Data, nil
}

// amendment rates an event anew with other data: by all versions of the card that
// rates usage, and the account's terms.
func (g *Gateway) amendment(ctx context.Context, e correction.Event, data events.UsageData) (correction.Charge, error) {
	a := correction.Amendment{Ledger: g.ledger(), Compile: g.CompileRateCard, MaxAhead: g.MaxAhead, Progress: g.progress(ctx), Data: data}
	versions, err := g.cardVersions(ctx, events.DefaultCard)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		card, ok, err := lookup[events.RateCard](ctx, g, g.Streams.Catalog, cardKey(v.Card, v.Version))
		if err != nil {
			return nil, err
		}
		if ok {
			a.Cards = append(a.Cards, card)
		}
	}
	if a.Terms, err = g.termsOf(ctx, e.Account); err != nil {
		return nil, err
	}
	return a.Charge, nil
}

// termsOf are the terms of an account as they are set now.
func (g *Gateway) termsOf(ctx context.Context, id string) (simulate.Terms, error) {
	account, _, err := lookup[events.Account](ctx, g, g.Streams.Catalog, events.CatalogAccount+id)
	if err != nil {
		return simulate.Terms{}, err
	}
	var plan events.Plan
	if account.Plan != "" {
		if plan, _, err = lookup[events.Plan](ctx, g, g.Streams.Catalog, events.CatalogPlan+account.Plan); err != nil {
			return simulate.Terms{}, err
		}
	}
	return simulate.TermsOf(account, plan)
}
