package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/past"
)

const routeBalance = "/v1/accounts/{id}/balance"

type balanceInput struct {
	AccountPath
	At       time.Time `query:"at" doc:"The balance as it was published at this instant of the past, by the ledger's clock."`
	Sequence uint64    `query:"sequence" minimum:"1" doc:"The balance as it was published behind this ledger sequence."`
}

type balanceOutput struct {
	Body events.Balance
}

func (g *Gateway) balanceRoutes() {
	register(g, huma.Operation{
		OperationID: "get-balance", Method: http.MethodGet, Path: routeBalance, Tags: []string{"Accounts"},
		Summary: "Read an account's balance, now or at any point of the past",
		Description: "It stands at the ledger sequence it names. With at or sequence it is folded from the ledger again, and equals what was published then. " +
			"That may take a while: with the header Drawdown-Progress, interim answers (102) say how far it is.",
	}, g.getBalance)
}

func (g *Gateway) getBalance(ctx context.Context, in *balanceInput) (*balanceOutput, error) {
	byTime, bySequence := !in.At.IsZero(), in.Sequence > 0
	if byTime && bySequence {
		return nil, invalid("the request is not valid", Fault{Path: "query.sequence", Code: "invalid", Detail: "expected at or sequence, not both"})
	}
	var balance events.Balance
	var err error
	if byTime || bySequence {
		balance, err = g.pastBalance(ctx, in)
	} else {
		balance, err = g.balance(ctx, in.Account)
	}
	if err != nil {
		return nil, err
	}
	return &balanceOutput{Body: balance}, nil
}

// pastBalance folds the account through a point of the ledger.
func (g *Gateway) pastBalance(ctx context.Context, in *balanceInput) (events.Balance, error) {
	if err := g.online(); err != nil {
		return events.Balance{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	through, parameter := in.Sequence, "query.sequence"
	var err error
	if !in.At.IsZero() {
		parameter = "query.at"
		through, err = g.ledger().Through(ctx, in.At)
	}
	var balance events.Balance
	named := false
	if err == nil {
		balance, named, err = g.ledger().Balance(ctx, in.Account, through, g.progress(ctx))
	}
	switch {
	case errors.Is(err, past.ErrAhead):
		return balance, invalid("the request is not valid", Fault{Path: parameter, Code: "invalid", Detail: err.Error()})
	case err == nil && !named:
		return balance, notFound("the ledger named no account %s up to sequence %d", in.Account, through)
	}
	return balance, err
}

// balance reads the balance of an account that the ledger names.
func (g *Gateway) balance(ctx context.Context, account string) (events.Balance, error) {
	balance, ok, err := lookup[events.Balance](ctx, g, g.Streams.Balances, account)
	if err == nil && !ok {
		err = notFound("the ledger names no account %s", account)
	}
	return balance, err
}

// known refuses an account that the ledger does not name.
func (g *Gateway) known(ctx context.Context, account string) error {
	_, err := g.balance(ctx, account)
	return err
}
