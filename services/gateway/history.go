package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

// Analytics answers questions about history, from ClickHouse. It may lag the
// ledger by about a second. It is what analytics.DB offers.
type Analytics interface {
	// Ledger returns a page of an account's postings, newest first.
	Ledger(ctx context.Context, account string, cursor uint64, limit int) (analytics.Page, error)
	// Usage sums an account's calls in [from, to); a zero time is no bound.
	Usage(ctx context.Context, account string, from, to time.Time, by analytics.GroupBy) ([]analytics.UsageRow, error)
	// CountEvents counts the usage events of a span, and Events visits them,
	// account by account.
	CountEvents(ctx context.Context, s analytics.Span) (uint64, error)
	Events(ctx context.Context, s analytics.Span, visit func(analytics.PastEvent) error) error
	// CardUsed counts the events that a rate card was charged for.
	CardUsed(ctx context.Context, card string, from, until time.Time, through uint64) (analytics.CardUse, error)
	// Where the charge of a usage event stands.
	explain.Analytics
}

// historyPeriod is how long one question may take.
const historyPeriod = 30 * time.Second

var usageGroups = []analytics.GroupBy{analytics.ByOperation, analytics.ByProject, analytics.ByKey, analytics.ByHour, analytics.ByDay}

type ledgerInput struct {
	AccountPath
	Cursor uint64 `query:"cursor" doc:"As next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type ledgerOutput struct {
	Body analytics.Page
}

type usageInput struct {
	AccountPath
	From    time.Time         `query:"from" doc:"By the events' own time; included."`
	To      time.Time         `query:"to" doc:"Not included."`
	GroupBy analytics.GroupBy `query:"group_by" default:"operation" doc:"operation, project, key, hour or day."`
}

type usageOutput struct {
	Body UsageGroups
}

// UsageGroups sums an account's usage.
type UsageGroups struct {
	Account string               `json:"account"`
	GroupBy analytics.GroupBy    `json:"group_by"`
	Groups  []analytics.UsageRow `json:"groups" nullable:"false"`
}

func (g *Gateway) historyRoutes() {
	register(g, huma.Operation{
		OperationID: "get-ledger", Method: http.MethodGet, Path: "/v1/accounts/{id}/ledger", Tags: []string{"History"},
		Summary: "Read what changed an account, newest first", Description: "From ClickHouse, about a second behind.",
	}, g.getLedger)
	register(g, huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/v1/accounts/{id}/usage", Tags: []string{"History"},
		Summary: "Sum an account's usage", Description: "From ClickHouse, about a second behind.",
	}, g.getUsage)
}

// ask bounds a question to ClickHouse and tells of one it cannot answer.
func ask[T any](ctx context.Context, g *Gateway, question func(context.Context, Analytics) (T, error)) (T, error) {
	var none T
	if g.Analytics == nil {
		return none, unavailable("history needs ClickHouse, and this gateway has none")
	}
	ctx, cancel := context.WithTimeout(ctx, historyPeriod)
	defer cancel()
	answer, err := question(ctx, g.Analytics)
	if err != nil {
		g.Logger.Warn("history not read", "err", err)
		return none, unavailable("history is not available now: ClickHouse does not answer; balances and usage events are not affected")
	}
	return answer, nil
}

func (g *Gateway) getLedger(ctx context.Context, in *ledgerInput) (*ledgerOutput, error) {
	page, err := ask(ctx, g, func(ctx context.Context, a Analytics) (analytics.Page, error) {
		return a.Ledger(ctx, in.Account, in.Cursor, in.Limit)
	})
	if err != nil {
		return nil, err
	}
	if len(page.Postings) == 0 {
		if err := g.known(ctx, in.Account); err != nil {
			return nil, err
		}
		page.Postings = []analytics.Posting{}
	}
	return &ledgerOutput{Body: page}, nil
}

func (g *Gateway) getUsage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	var faults []Fault
	if !slices.Contains(usageGroups, in.GroupBy) {
		faults = append(faults, Fault{Path: "query.group_by", Code: "invalid",
			Detail: fmt.Sprintf("found %q; expected one of %s", clip(string(in.GroupBy)), strings.Trim(fmt.Sprint(usageGroups), "[]"))})
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.To.After(in.From) {
		faults = append(faults, Fault{Path: "query.to", Code: "invalid", Detail: "expected a time after from"})
	}
	if len(faults) > 0 {
		return nil, invalid("the request is not valid", faults...)
	}
	groups, err := ask(ctx, g, func(ctx context.Context, a Analytics) ([]analytics.UsageRow, error) {
		return a.Usage(ctx, in.Account, in.From, in.To, in.GroupBy)
	})
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		if err := g.known(ctx, in.Account); err != nil {
			return nil, err
		}
		groups = []analytics.UsageRow{}
	}
	return &usageOutput{Body: UsageGroups{Account: in.Account, GroupBy: in.GroupBy, Groups: groups}}, nil
}
