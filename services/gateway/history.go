package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
)

// Analytics answers questions about history, from ClickHouse. It may lag the
// ledger by about a second. Any error means that it cannot answer now.
type Analytics interface {
	// Ledger returns at most limit postings of an account in order, behind the
	// posting numbered after.
	Ledger(ctx context.Context, account string, after uint64, limit int) ([]LedgerEntry, error)
	// Usage sums an account's usage in [from, to) by group; a zero time is no
	// bound.
	Usage(ctx context.Context, account string, q UsageQuery) ([]UsageGroup, error)
	// Explain returns what one usage event cost and why; nil when it is not
	// there.
	Explain(ctx context.Context, source, id string) (*Explanation, error)
}

// LedgerEntry is one change of an account, with what it stood at afterwards.
type LedgerEntry struct {
	Number   uint64    `json:"number" doc:"Counts the account's entries from 1; the cursor."`
	Sequence uint64    `json:"sequence" doc:"Of the message in the ledger."`
	Index    int       `json:"index,omitzero"`
	Kind     string    `json:"kind"`
	At       time.Time `json:"at"`
	Grant    string    `json:"grant,omitzero"`
	Refused  string    `json:"refused,omitzero" doc:"The code of a refused command, which changed nothing."`
	Debit    *Debit    `json:"debit,omitempty"`

	Granted  events.Credits `json:"granted,omitzero"`
	Drawn    events.Credits `json:"drawn,omitzero"`
	Expired  events.Credits `json:"expired,omitzero"`
	Voided   events.Credits `json:"voided,omitzero"`
	Charged  events.Credits `json:"charged,omitzero"`
	Forgiven events.Credits `json:"forgiven,omitzero"`
	Draws    []Draw         `json:"draws,omitempty"`

	Available events.Credits `json:"available"`
	Held      events.Credits `json:"held"`
	Overage   events.Credits `json:"overage"`
	Remaining events.Credits `json:"remaining"`
}

// Draw is what one grant gave, and what it had left.
type Draw struct {
	Grant  string         `json:"grant"`
	Amount events.Credits `json:"amount"`
	Left   events.Credits `json:"left"`
}

// Debit is what one usage event cost and why.
type Debit struct {
	Source     string         `json:"source"`
	ID         string         `json:"id"`
	Time       time.Time      `json:"time"`
	Operation  string         `json:"operation"`
	Amount     events.Credits `json:"amount"`
	Card       string         `json:"card"`
	Version    int            `json:"version"`
	Rule       string         `json:"rule"`
	Arithmetic string         `json:"arithmetic" doc:"How the amount came about."`
}

// Explanation says what became of one usage event: it was charged, or could
// not be rated.
type Explanation struct {
	Account    string             `json:"account,omitzero"`
	Usage      *events.UsageData  `json:"usage,omitempty" doc:"The event's data."`
	Entry      *LedgerEntry       `json:"entry,omitempty" doc:"The charge."`
	DeadLetter *DeadLetterSummary `json:"deadletter,omitempty" doc:"Why it could not be rated."`
}

// UsageQuery says which usage is summed, and how.
type UsageQuery struct {
	From, To time.Time
	GroupBy  string // one of usageGroups
	Limit    int
}

// UsageGroup is the usage of one group.
type UsageGroup struct {
	Group      string                     `json:"group"`
	Events     uint64                     `json:"events"`
	Charged    events.Credits             `json:"charged"`
	Quantities map[string]events.Quantity `json:"quantities,omitempty"`
}

const (
	routeExplain  = "/v1/explain"
	usageRowsMax  = 10_000
	historyPeriod = 30 * time.Second // at most, for one question
)

var usageGroups = []string{"operation", "project", "key", "status", "rule", "minute", "hour", "day"}

type ledgerInput struct {
	AccountPath
	Cursor uint64 `query:"cursor" doc:"As next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type ledgerOutput struct {
	Body LedgerPage
}

// LedgerPage lists an account's changes, oldest first.
type LedgerPage struct {
	Entries []LedgerEntry `json:"entries" nullable:"false"`
	Next    uint64        `json:"next,omitzero" doc:"The cursor of the next page; absent on the last."`
}

type usageInput struct {
	AccountPath
	From    time.Time `query:"from" doc:"By the events' own time; included."`
	To      time.Time `query:"to" doc:"Not included."`
	GroupBy string    `query:"group_by" default:"operation" doc:"operation, project, key, status, rule, minute, hour or day."`
}

type usageOutput struct {
	Body UsageGroups
}

// UsageGroups sums an account's usage.
type UsageGroups struct {
	Account string       `json:"account"`
	GroupBy string       `json:"group_by"`
	Groups  []UsageGroup `json:"groups" nullable:"false"`
}

type explainInput struct {
	Source string `query:"source" required:"true" maxLength:"512"`
	ID     string `query:"id" required:"true" maxLength:"256"`
}

type explainOutput struct {
	Body Explanation
}

func (g *Gateway) historyRoutes() {
	register(g, huma.Operation{
		OperationID: "get-ledger", Method: http.MethodGet, Path: "/v1/accounts/{id}/ledger", Tags: []string{"History"},
		Summary: "Read what changed an account, oldest first", Description: "From ClickHouse, about a second behind.",
	}, g.getLedger)
	register(g, huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/v1/accounts/{id}/usage", Tags: []string{"History"},
		Summary: "Sum an account's usage", Description: "From ClickHouse, about a second behind.",
	}, g.getUsage)
	register(g, huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: routeExplain, Tags: []string{"History"},
		Summary: "Say what one usage event cost and why, or why it could not be rated",
	}, g.explain)
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
	entries, err := ask(ctx, g, func(ctx context.Context, a Analytics) ([]LedgerEntry, error) {
		return a.Ledger(ctx, in.Account, in.Cursor, in.Limit+1)
	})
	if err != nil {
		return nil, err
	}
	out := &ledgerOutput{Body: LedgerPage{Entries: entries}}
	if len(entries) > in.Limit {
		out.Body.Entries = entries[:in.Limit]
		out.Body.Next = entries[in.Limit-1].Number
	}
	if entries == nil {
		out.Body.Entries = []LedgerEntry{}
	}
	return out, nil
}

func (g *Gateway) getUsage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	var faults []Fault
	if !slices.Contains(usageGroups, in.GroupBy) {
		faults = append(faults, Fault{Path: "query.group_by", Code: "invalid",
			Detail: fmt.Sprintf("found %q; expected one of %s", clip(in.GroupBy), strings.Join(usageGroups, ", "))})
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.To.After(in.From) {
		faults = append(faults, Fault{Path: "query.to", Code: "invalid", Detail: "expected a time after from"})
	}
	if len(faults) > 0 {
		return nil, invalid("the request is not valid", faults...)
	}
	groups, err := ask(ctx, g, func(ctx context.Context, a Analytics) ([]UsageGroup, error) {
		return a.Usage(ctx, in.Account, UsageQuery{From: in.From, To: in.To, GroupBy: in.GroupBy, Limit: usageRowsMax})
	})
	if err != nil {
		return nil, err
	}
	if groups == nil {
		groups = []UsageGroup{}
	}
	return &usageOutput{Body: UsageGroups{Account: in.Account, GroupBy: in.GroupBy, Groups: groups}}, nil
}

// explain looks among the charges and then among the dead letters, which it
// reads even while ClickHouse does not answer.
func (g *Gateway) explain(ctx context.Context, in *explainInput) (*explainOutput, error) {
	found, unanswered := ask(ctx, g, func(ctx context.Context, a Analytics) (*Explanation, error) {
		return a.Explain(ctx, in.Source, in.ID)
	})
	if found != nil {
		return &explainOutput{Body: *found}, nil
	}
	dead, err := g.findDeadLetter(ctx, in.Source, in.ID)
	switch {
	case err != nil:
		return nil, err
	case dead != nil:
		return &explainOutput{Body: Explanation{DeadLetter: dead}}, nil
	case unanswered != nil:
		return nil, unanswered
	}
	return nil, notFound("no charge and no dead letter names this source and id; a charge may take about a second to be readable here")
}
