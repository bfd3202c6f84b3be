package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

const (
	// listMax bounds the plans, and the versions of a card, that one answer
	// holds.
	listMax = 1000
)

// PlanPath names a plan in the path. The library fills exported types only.
type PlanPath struct {
	Plan string `path:"plan" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a name of 1 to 64 of A–Z a–z 0–9 _ -"`
}

// Document is a request body, for a parser of its own.
type Document struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte
}

type putPlanInput struct {
	PlanPath
	Document
}

type putPlanOutput struct {
	Body PlanDecision
}

// PlanDecision is a plan as it was set.
type PlanDecision struct {
	events.Plan
	Outcome events.Outcome `json:"outcome" doc:"applied, or unchanged when it said the same before."`
}

type planOutput struct {
	Body events.Plan
}

type plansOutput struct {
	Body Plans
}

// Plans lists plans by name.
type Plans struct {
	Plans []events.Plan `json:"plans" nullable:"false"`
}

func (g *Gateway) planRoutes() {
	register(g, huma.Operation{
		OperationID: "put-plan", Errors: []int{http.StatusGatewayTimeout}, Method: http.MethodPut, Path: "/v1/plans/{plan}", Tags: []string{"Plans"},
		Summary:     "Set a plan",
		Description: "In YAML or JSON. Accounts on the plan follow it from their next period.",
		RequestBody: g.body(map[string]any{"application/json": events.Plan{}, "application/yaml": events.Plan{}}),
	}, g.putPlan)
	register(g, huma.Operation{
		OperationID: "get-plan", Method: http.MethodGet, Path: "/v1/plans/{plan}", Tags: []string{"Plans"}, Summary: "Read a plan",
	}, g.getPlan)
	register(g, huma.Operation{
		OperationID: "list-plans", Method: http.MethodGet, Path: "/v1/plans", Tags: []string{"Plans"}, Summary: "List the plans",
	}, g.listPlans)
}

func (g *Gateway) putPlan(ctx context.Context, in *putPlanInput) (*putPlanOutput, error) {
	plan, err := parseDocument(in.ContentType, "plan "+in.Plan, in.RawBody, catalog.ParsePlan)
	if err != nil {
		return nil, err
	}
	if err := sameName("/plan", plan.Plan, in.Plan); err != nil {
		return nil, err
	}
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryPlan, Plan: &plan})
	if err != nil {
		return nil, err
	}
	return &putPlanOutput{Body: PlanDecision{Plan: plan, Outcome: decision.Outcome}}, nil
}

func (g *Gateway) getPlan(ctx context.Context, in *PlanPath) (*planOutput, error) {
	plan, ok, err := lookup[events.Plan](ctx, g, g.Streams.Catalog, events.CatalogPlan+in.Plan)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("there is no plan %s", in.Plan)
	}
	return &planOutput{Body: plan}, nil
}

func (g *Gateway) listPlans(ctx context.Context, _ *struct{}) (*plansOutput, error) {
	var names []string
	err := g.keys(ctx, g.Streams.Catalog, events.CatalogPlan+"*", func(key string) { names = append(names, after(key, events.CatalogPlan)) })
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	out := &plansOutput{Body: Plans{Plans: []events.Plan{}}}
	for _, name := range names[:min(len(names), listMax)] {
		plan, ok, err := lookup[events.Plan](ctx, g, g.Streams.Catalog, events.CatalogPlan+name)
		if err != nil {
			return nil, err
		}
		if ok {
			out.Body.Plans = append(out.Body.Plans, plan)
		}
	}
	return out, nil
}
