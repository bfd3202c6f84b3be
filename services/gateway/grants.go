package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	noteMax   = 512
	reasonMax = 512
)

type addGrantInput struct {
	AccountPath
	Document
}

type grantOutput struct {
	Status int
	Body   GrantDecision
}

// GrantDecision is what became of a grant: that it is issued, or void.
type GrantDecision struct {
	Account string `json:"account"`
	Grant   string `json:"grant"`
	// TopUp is of a grant that names a request for a top-up.
	TopUp events.TopUpAnswer `json:"top_up,omitempty" enum:"answered,not_pending" doc:"What the grant did to the request for a top-up that it names. It is issued either way."`
	Decided
}

type grantsOutput struct {
	Body Grants
}

// Grants lists the open grants of an account in draw order.
type Grants struct {
	Grants     []events.GrantBalance `json:"grants" nullable:"false"`
	MoreGrants int                   `json:"more_grants,omitzero" doc:"How many more are open."`
	Sequence   uint64                `json:"sequence" doc:"The ledger sequence this stands at."`
}

type voidInput struct {
	Grant string `path:"grant" pattern:"^[A-Za-z0-9_.:-]{1,128}$" patternDescription:"a grant: 1 to 128 of A–Z a–z 0–9 _ - . :"`
	Document
}

// voidBody says whose grant is voided, and why.
type voidBody struct {
	Account string `json:"account"`
	Reason  string `json:"reason,omitzero" maxLength:"512"`
}

func (g *Gateway) grantRoutes() {
	register(g, huma.Operation{
		OperationID: "add-grant", Errors: addErrors, Method: http.MethodPost, Path: "/v1/accounts/{id}/grants", DefaultStatus: http.StatusCreated, Tags: []string{"Grants"},
		Summary:     "Grant credits",
		Description: "Idempotent by the grant's id: 201 the first time, 200 for the same again, 409 when the id names another grant of the account.",
		RequestBody: g.body(map[string]any{"application/json": events.Grant{}}),
	}, g.addGrant)
	register(g, huma.Operation{
		OperationID: "list-grants", Method: http.MethodGet, Path: "/v1/accounts/{id}/grants", Tags: []string{"Grants"},
		Summary: "List an account's open grants, in the order they are drawn",
	}, g.listGrants)
	register(g, huma.Operation{
		OperationID: "void-grant", Errors: endErrors, Method: http.MethodPost, Path: "/v1/grants/{grant}/void", Tags: []string{"Grants"},
		Summary:     "Void a grant",
		Description: "What remains of it goes, its history stays. 409 when it is void or spent already.",
		RequestBody: g.body(map[string]any{"application/json": voidBody{}}),
	}, g.voidGrant)
}

func (g *Gateway) addGrant(ctx context.Context, in *addGrantInput) (*grantOutput, error) {
	grant, err := decodeJSON[events.Grant](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if faults := checkGrant(grant); len(faults) > 0 {
		return nil, invalid("the grant is not valid", faults...)
	}
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryGrant, Account: in.Account, Grant: &grant})
	if err != nil {
		return nil, err
	}
	return &grantOutput{
		Status: createdStatus(decision.Outcome),
		Body:   GrantDecision{Account: in.Account, Grant: grant.ID, TopUp: decision.TopUp, Decided: decided(decision)},
	}, nil
}

// checkGrant finds what is wrong with a grant whatever the account is, so that
// it never reaches the ledger.
func checkGrant(g events.Grant) (faults []Fault) {
	wrong := func(path, format string, args ...any) {
		faults = append(faults, Fault{Path: path, Code: "invalid", Detail: fmt.Sprintf(format, args...)})
	}
	if !events.ValidGrantID(g.ID) {
		wrong("/id", "found %q; expected 1 to 128 of A–Z a–z 0–9 _ - . :", clip(g.ID))
	}
	if g.Amount <= 0 || g.Amount > events.MaxCredits {
		wrong("/amount", "found %s; expected credits above 0, at most %s", g.Amount, events.MaxCredits)
	}
	sources := []events.GrantSource{"", events.SourcePrepaid, events.SourcePromo, events.SourceTopUp, events.SourceAdjustment}
	if !slices.Contains(sources, g.Source) {
		wrong("/source", "found %q; expected prepaid, promo, top_up or adjustment", clip(string(g.Source)))
	}
	if !sensibleTime(g.EffectiveAt) {
		wrong("/effective_at", "found the year %d; expected 1970 to 9999", g.EffectiveAt.Year())
	}
	switch {
	case !sensibleTime(g.ExpiresAt):
		wrong("/expires_at", "found the year %d; expected 1970 to 9999", g.ExpiresAt.Year())
	case !g.ExpiresAt.IsZero() && !g.EffectiveAt.IsZero() && !g.ExpiresAt.After(g.EffectiveAt):
		wrong("/expires_at", "found %s; expected a time after effective_at", g.ExpiresAt.Format(time.RFC3339))
	}
	if _, _, err := events.ParsePeriod(g.Recurrence); g.Recurrence != "" && err != nil {
		wrong("/recurrence", "found %q; expected %s", clip(g.Recurrence), events.PeriodForm)
	}
	if r := g.Rollover; r != nil && (r.Max <= 0 || r.Max > events.MaxCredits) {
		wrong("/rollover/max", "found %s; expected credits above 0, at most %s", r.Max, events.MaxCredits)
	} else if r != nil && (r.Min < 0 || r.Min > r.Max || r.Min > g.Amount) {
		wrong("/rollover/min", "found %s; expected 0 to the lower of max and the grant's amount", r.Min)
	}
	if g.TopUp != "" && !events.ValidTopUpID(g.TopUp) {
		wrong("/top_up", "found %q; expected a request for a top-up such as topup:acme:1", clip(g.TopUp))
	}
	if basis := g.CostBasis; basis != nil && !validCurrency(basis.Currency) {
		wrong("/cost_basis/currency", "found %q; expected three capital letters, such as USD", clip(basis.Currency))
	}
	if len(g.Note) > noteMax {
		wrong("/note", "found %d bytes; expected at most %d", len(g.Note), noteMax)
	}
	return faults
}

func sensibleTime(t time.Time) bool {
	return t.IsZero() || t.UTC().Year() >= 1970 && t.UTC().Year() <= 9999
}

func validCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

func (g *Gateway) listGrants(ctx context.Context, in *AccountPath) (*grantsOutput, error) {
	balance, err := g.balance(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	if balance.Grants == nil {
		balance.Grants = []events.GrantBalance{}
	}
	return &grantsOutput{Body: Grants{Grants: balance.Grants, MoreGrants: balance.MoreGrants, Sequence: balance.Sequence}}, nil
}

func (g *Gateway) voidGrant(ctx context.Context, in *voidInput) (*grantOutput, error) {
	body, err := decodeJSON[voidBody](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	faults := checkAccount("the grant's account", body.Account)
	if len(body.Reason) > reasonMax {
		faults = append(faults, Fault{Path: "/reason", Code: "invalid",
			Detail: fmt.Sprintf("found %d bytes; expected at most %d", len(body.Reason), reasonMax)})
	}
	if len(faults) > 0 {
		return nil, invalid("the request is not valid", faults...)
	}
	decision, err := g.decide(ctx, events.Entry{
		Kind: events.EntryVoid, Account: body.Account, Void: &events.Void{Grant: in.Grant, Reason: body.Reason},
	})
	if err != nil {
		return nil, err
	}
	return &grantOutput{Status: http.StatusOK, Body: GrantDecision{Account: body.Account, Grant: in.Grant, Decided: decided(decision)}}, nil
}
