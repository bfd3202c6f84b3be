package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
)

type placeHoldInput struct {
	AccountPath
	Document
}

type endHoldInput struct {
	Hold string `path:"hold" pattern:"^[A-Za-z0-9_.:-]{1,128}$" patternDescription:"a hold: 1 to 128 of A–Z a–z 0–9 _ - . :"`
	Document
}

// captureBody says whose hold is captured, and with how much.
type captureBody struct {
	Account string         `json:"account"`
	Amount  events.Credits `json:"amount"`
}

// releaseBody says whose hold is released.
type releaseBody struct {
	Account string `json:"account"`
}

type holdOutput struct {
	Status int
	Body   HoldDecision
}

// HoldDecision is what became of a hold.
type HoldDecision struct {
	Account string              `json:"account"`
	Hold    *events.HoldBalance `json:"hold" doc:"As it stands now."`
	Decided
}

type holdsOutput struct {
	Body Holds
}

// Holds lists the open holds of an account, soonest to expire first.
type Holds struct {
	Holds     []events.HoldBalance `json:"holds" nullable:"false"`
	MoreHolds int                  `json:"more_holds,omitzero" doc:"How many more are open."`
	Held      events.Credits       `json:"held" doc:"What all open ones reserve."`
	Sequence  uint64               `json:"sequence" doc:"The ledger sequence this stands at."`
}

func (g *Gateway) holdRoutes() {
	register(g, huma.Operation{
		OperationID: "place-hold", Errors: []int{http.StatusPaymentRequired, http.StatusConflict, http.StatusGatewayTimeout}, Method: http.MethodPost, Path: "/v1/accounts/{id}/holds", DefaultStatus: http.StatusCreated, Tags: []string{"Holds"},
		Summary: "Reserve credits before work",
		Description: "Idempotent by the hold's id: 201 the first time, 200 for the same again, 409 when the id names another hold of the account. " +
			"402 when it does not fit: the problem says what there is, and in which scope.",
		RequestBody: g.body(map[string]any{"application/json": events.Hold{}}),
	}, g.placeHold)
	register(g, huma.Operation{
		OperationID: "list-holds", Method: http.MethodGet, Path: "/v1/accounts/{id}/holds", Tags: []string{"Holds"},
		Summary: "List an account's open holds, soonest to expire first",
	}, g.listHolds)
	register(g, huma.Operation{
		OperationID: "capture-hold", Errors: endErrors, Method: http.MethodPost, Path: "/v1/holds/{hold}/capture", Tags: []string{"Holds"},
		Summary:     "Charge for work that a hold was placed for",
		Description: "Any part of it; the rest is available again. The same again is unchanged; 409 when the hold has ended in another way.",
		RequestBody: g.body(map[string]any{"application/json": captureBody{}}),
	}, g.captureHold)
	register(g, huma.Operation{
		OperationID: "release-hold", Errors: endErrors, Method: http.MethodPost, Path: "/v1/holds/{hold}/release", Tags: []string{"Holds"},
		Summary:     "End a hold without a charge",
		Description: "The same again is unchanged; 409 when the hold has ended in another way.",
		RequestBody: g.body(map[string]any{"application/json": releaseBody{}}),
	}, g.releaseHold)
}

func (g *Gateway) placeHold(ctx context.Context, in *placeHoldInput) (*holdOutput, error) {
	hold, err := decodeJSON[events.Hold](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	return g.changeHold(ctx, in.Account, events.HoldRequest{Hold: &hold})
}

func (g *Gateway) captureHold(ctx context.Context, in *endHoldInput) (*holdOutput, error) {
	body, err := decodeJSON[captureBody](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	return g.changeHold(ctx, body.Account, events.HoldRequest{Capture: &events.Capture{Hold: in.Hold, Amount: body.Amount}})
}

func (g *Gateway) releaseHold(ctx context.Context, in *endHoldInput) (*holdOutput, error) {
	body, err := decodeJSON[releaseBody](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	return g.changeHold(ctx, body.Account, events.HoldRequest{Release: &events.Release{Hold: in.Hold}})
}

// changeHold appends a command about a hold and answers with its decision. It
// refuses what the fold would refuse of any account.
func (g *Gateway) changeHold(ctx context.Context, account string, r events.HoldRequest) (*holdOutput, error) {
	entry := events.Entry{Account: account, Hold: r.Hold, Capture: r.Capture, Release: r.Release}
	var fault error
	switch {
	case r.Hold != nil && r.Capture == nil && r.Release == nil:
		entry.Kind, fault = events.EntryHold, r.Hold.Validate()
	case r.Capture != nil && r.Hold == nil && r.Release == nil:
		entry.Kind, fault = events.EntryCapture, r.Capture.Validate()
	case r.Release != nil && r.Hold == nil && r.Capture == nil:
		entry.Kind, fault = events.EntryRelease, r.Release.Validate()
	default:
		return nil, invalid("expected exactly one of hold, capture and release")
	}
	faults := append(faultsOf(fault), checkAccount("the hold's account", account)...)
	if len(faults) > 0 {
		return nil, invalid("the request is not valid", faults...)
	}
	decision, err := g.decide(ctx, entry)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if r.Hold != nil {
		status = createdStatus(decision.Outcome)
	}
	return &holdOutput{Status: status, Body: HoldDecision{Account: account, Hold: decision.Hold, Decided: decided(decision)}}, nil
}

// insufficient is the problem of a hold that does not fit.
func insufficient(d events.Decision) *Problem {
	p := newProblem(http.StatusPaymentRequired, "%s", d.Detail)
	short := Insufficiency{Scope: events.ScopeAccount, TopUp: events.TopUpNone}
	if d.Shortage != nil {
		short.Scope, short.Available, short.Required = d.Shortage.Scope, d.Shortage.Available, d.Shortage.Required
		if at := d.Shortage.ResetsAt; !at.IsZero() {
			short.ResetsAt = &at
		}
	}
	if d.Balance != nil {
		short.Account = d.Balance.Account
		if topUp := d.Balance.TopUp; topUp != nil && short.Scope == events.ScopeAccount {
			short.TopUp = topUp.State
		}
	}
	p.Insufficiency = &short
	return p
}

// Insufficiency is what a problem of status 402 says beside the rest.
type Insufficiency struct {
	Account   string         `json:"account" required:"false"`
	Available events.Credits `json:"available" required:"false" doc:"In the scope."`
	Required  events.Credits `json:"required" required:"false"`
	Scope     string         `json:"scope" required:"false" doc:"The narrowest that refused: account, project:web, key:key_7f3."`
	ResetsAt  *time.Time     `json:"resets_at,omitempty" doc:"When the scope is filled up again by itself."`
	// TopUp is of the account; no top-up gives a budget more room.
	TopUp events.TopUpState `json:"top_up" required:"false" enum:"none,available,pending" doc:"Whether a top-up of the account is requested, or will be once it is low. none where a budget refused."`
}

func (g *Gateway) listHolds(ctx context.Context, in *AccountPath) (*holdsOutput, error) {
	balance, err := g.balance(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	if balance.Holds == nil {
		balance.Holds = []events.HoldBalance{}
	}
	return &holdsOutput{Body: Holds{Holds: balance.Holds, MoreHolds: balance.MoreHolds, Held: balance.Held, Sequence: balance.Sequence}}, nil
}
