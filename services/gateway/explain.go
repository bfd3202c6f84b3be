package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

const routeExplain = "/v1/explain"

type explainInput struct {
	Source  string `query:"source" required:"true" maxLength:"512"`
	ID      string `query:"id" required:"true" maxLength:"256"`
	Account string `query:"account" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"an account: 1 to 64 of A–Z a–z 0–9 _ -" doc:"Narrows the search; needed only while ClickHouse does not answer."`
}

type explainOutput struct {
	Body explain.Explanation
}

func (g *Gateway) explainRoutes() {
	register(g, huma.Operation{
		OperationID: "explain", Errors: []int{http.StatusNotFound}, Method: http.MethodGet, Path: routeExplain, Tags: []string{"History"},
		Summary: "Say what became of one usage event, and why",
		Description: "What it cost, by which rule and arithmetic, from which grants and with what left; or why it was refused and how to send it again; or that it waits to be rated. " +
			"A charge is told as the ledger has it, also one that ClickHouse does not hold yet.",
	}, g.explain)
}

func (g *Gateway) explain(ctx context.Context, in *explainInput) (*explainOutput, error) {
	if err := g.online(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	found, err := g.explainer().Explain(ctx, explain.Question{Source: in.Source, ID: in.ID, Account: in.Account}, g.progress(ctx))
	if err != nil {
		return nil, g.unexplained(err)
	}
	return &explainOutput{Body: *found}, nil
}

func (g *Gateway) explainer() explain.Explainer {
	x := explain.Explainer{Ledger: g.ledger(), Logger: g.Logger}
	if g.Analytics != nil {
		x.Analytics = g.Analytics
	}
	return x
}

// unexplained makes a problem of an event that is not found.
func (g *Gateway) unexplained(err error) error {
	var missing *explain.NotFoundError
	switch {
	case errors.As(err, &missing):
		return notFound("%s", missing.Error())
	case errors.Is(err, explain.ErrNeedsAccount):
		g.Logger.Warn("event not explained", "err", err)
		return unavailable("%s", explain.ErrNeedsAccount.Error())
	}
	return err
}
