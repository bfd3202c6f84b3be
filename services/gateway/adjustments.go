package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
)

type adjustInput struct {
	AccountPath
	Document
}

type adjustOutput struct {
	Status int
	Body   AdjustDecision
}

// AdjustDecision is what became of an adjustment.
type AdjustDecision struct {
	Account string `json:"account"`
	ID      string `json:"id"`
	Decided
}

func (g *Gateway) adjustmentRoutes() {
	register(g, huma.Operation{
		OperationID: "adjust-account", Errors: addErrors, Method: http.MethodPost, Path: "/v1/accounts/{id}/adjustments", DefaultStatus: http.StatusCreated, Tags: []string{"Accounts"},
		Summary: "Correct an account by hand",
		Description: "An amount above 0 grants credits, one below 0 charges them. Idempotent by id: 201 the first time, 200 for the same again, " +
			"409 when the id names another adjustment of the account.",
		RequestBody: g.body(map[string]any{"application/json": events.Adjustment{}}),
	}, g.adjust)
}

func (g *Gateway) adjust(ctx context.Context, in *adjustInput) (*adjustOutput, error) {
	content, err := decodeJSON[events.Adjustment](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if faults := faultsOf(content.Validate()); len(faults) > 0 {
		return nil, invalid("the adjustment is not valid", faults...)
	}
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryAdjust, Account: in.Account, Adjust: &content})
	if err != nil {
		return nil, err
	}
	return &adjustOutput{
		Status: createdStatus(decision.Outcome),
		Body:   AdjustDecision{Account: in.Account, ID: content.ID, Decided: decided(decision)},
	}, nil
}
