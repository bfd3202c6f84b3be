package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
)

type declineInput struct {
	AccountPath
	TopUp string `path:"topup" pattern:"^[A-Za-z0-9_.:-]{1,128}$" patternDescription:"a request for a top-up such as topup:acme:1"`
	Document
}

// declineBody says why a top-up is declined.
type declineBody struct {
	Reason string `json:"reason,omitzero" maxLength:"512"`
}

type topUpOutput struct {
	Body TopUpDecision
}

// TopUpDecision is what became of a request for a top-up that was declined.
type TopUpDecision struct {
	Account string `json:"account"`
	TopUp   string `json:"top_up" doc:"The request."`
	Decided
}

func (g *Gateway) topUpRoutes() {
	register(g, huma.Operation{
		OperationID: "decline-top-up", Errors: endErrors, Method: http.MethodPost, Path: "/v1/accounts/{id}/topups/{topup}/decline", Tags: []string{"Top-ups"},
		Summary: "End a request for a top-up without a payment",
		Description: "The same again is unchanged; 409 when a grant answered it or it has expired. " +
			"The next is requested when the account is still low once the cooldown, which began with the request, is over.",
		RequestBody: g.body(map[string]any{"application/json": declineBody{}}),
	}, g.declineTopUp)
}

func (g *Gateway) declineTopUp(ctx context.Context, in *declineInput) (*topUpOutput, error) {
	body, err := decodeJSON[declineBody](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	decline := events.Decline{TopUp: in.TopUp, Reason: body.Reason}
	if faults := faultsOf(decline.Validate()); len(faults) > 0 {
		return nil, invalid("the request is not valid", faults...)
	}
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryDecline, Account: in.Account, Decline: &decline})
	if err != nil {
		return nil, err
	}
	return &topUpOutput{Body: TopUpDecision{Account: in.Account, TopUp: in.TopUp, Decided: decided(decision)}}, nil
}
