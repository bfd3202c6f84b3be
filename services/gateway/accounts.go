package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

// AccountPath names an account in the path.
type AccountPath struct {
	Account string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"an account: 1 to 64 of A–Z a–z 0–9 _ -"`
}

type putAccountInput struct {
	AccountPath
	Document
}

type putAccountOutput struct {
	Body AccountDecision
}

// AccountDecision is what became of an account that was set.
type AccountDecision struct {
	AccountSettings
	Decided
}

type accountOutput struct {
	Body AccountSettings
}

// AccountSettings is what is set of an account. One that only the ledger names has no
// settings.
type AccountSettings struct {
	events.Account
	Set bool `json:"set" doc:"Whether the account was ever set; if not, it exists because the ledger names it."`
}

type listAccountsInput struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"As next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type accountsOutput struct {
	Body AccountPage
}

// AccountPage lists accounts, sorted by id.
type AccountPage struct {
	Accounts []string `json:"accounts" nullable:"false"`
	Next     string   `json:"next,omitzero" doc:"The cursor of the next page; absent on the last."`
}

func (g *Gateway) accountRoutes() {
	register(g, huma.Operation{
		OperationID: "put-account", Errors: []int{http.StatusNotFound, http.StatusGatewayTimeout}, Method: http.MethodPut, Path: "/v1/accounts/{id}", Tags: []string{"Accounts"},
		Summary:     "Set an account",
		Description: "Its plan, its start, and its own terms over the plan's, in YAML or JSON. It replaces everything that was set before: what is not given goes, the plan with its credits included. Another plan begins now, now_prorated or at period_end, as change says; until then it is in next.",
		RequestBody: g.body(map[string]any{"application/json": events.Account{}, "application/yaml": events.Account{}}),
	}, g.putAccount)
	register(g, huma.Operation{
		OperationID: "get-account", Method: http.MethodGet, Path: "/v1/accounts/{id}", Tags: []string{"Accounts"}, Summary: "Read an account's settings",
	}, g.getAccount)
	register(g, huma.Operation{
		OperationID: "list-accounts", Method: http.MethodGet, Path: "/v1/accounts", Tags: []string{"Accounts"}, Summary: "List the accounts",
	}, g.listAccounts)
}

func (g *Gateway) putAccount(ctx context.Context, in *putAccountInput) (*putAccountOutput, error) {
	account, err := parseDocument(in.ContentType, "account "+in.Account, in.RawBody, catalog.ParseAccount)
	if err != nil {
		return nil, err
	}
	if account.ID == "" {
		account.ID = in.Account
	}
	if err := sameName("/id", account.ID, in.Account); err != nil {
		return nil, err
	}
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryAccount, Account: in.Account, Settings: &account})
	if err != nil {
		return nil, err
	}
	stored, ok, err := lookup[events.Account](ctx, g, g.Streams.Catalog, events.CatalogAccount+in.Account)
	if err != nil || !ok { // it is in the ledger; the catalogue's copy may follow later
		stored = account
		stored.Change = ""
	}
	return &putAccountOutput{Body: AccountDecision{AccountSettings: AccountSettings{Account: stored, Set: true}, Decided: decided(decision)}}, nil
}

func (g *Gateway) getAccount(ctx context.Context, in *AccountPath) (*accountOutput, error) {
	account, set, err := lookup[events.Account](ctx, g, g.Streams.Catalog, events.CatalogAccount+in.Account)
	if err != nil {
		return nil, err
	}
	if !set {
		if _, err := g.balance(ctx, in.Account); err != nil {
			return nil, err
		}
		account.ID = in.Account
	}
	return &accountOutput{Body: AccountSettings{Account: account, Set: set}}, nil
}

func (g *Gateway) listAccounts(ctx context.Context, in *listAccountsInput) (*accountsOutput, error) {
	found := page{after: in.Cursor, limit: in.Limit}
	if err := g.keys(ctx, g.Streams.Balances, ">", found.add); err != nil {
		return nil, err
	}
	err := g.keys(ctx, g.Streams.Catalog, events.CatalogAccount+"*", func(key string) { found.add(after(key, events.CatalogAccount)) })
	if err != nil {
		return nil, err
	}
	out := &accountsOutput{}
	out.Body.Accounts, out.Body.Next = found.result()
	if out.Body.Accounts == nil {
		out.Body.Accounts = []string{}
	}
	return out, nil
}
