package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	routeSimulate = "/v1/ratecards/{card}/simulate"
	// simulateDefault is how far a simulation goes back by itself.
	simulateDefault = 30 * 24 * time.Hour
)

// Where past usage is read.
const (
	fromClickHouse = "clickhouse"
	fromLedger     = "ledger"
)

type simulateInput struct {
	CardPath
	Document
	Since   time.Time `query:"since" doc:"Usage that happened from here on; default 30 days ago."`
	Account string    `query:"account" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"an account: 1 to 64 of A–Z a–z 0–9 _ -" doc:"Of this account alone."`
}

type simulateOutput struct {
	Body simulate.Result
}

func (g *Gateway) simulateRoutes() {
	register(g, huma.Operation{
		OperationID: "simulate-ratecard", Method: http.MethodPost, Path: routeSimulate, Tags: []string{"Rate cards"},
		Summary: "Say what past usage would have cost by another rate card",
		Description: "In YAML or JSON. Nothing is written. By account and operation: what was charged, what would be, and the difference; who gains and loses most; " +
			"and which events the card would refuse. From ClickHouse, or from the ledger when there is none. With the header Drawdown-Progress, interim answers (102) say how far it is.",
		RequestBody: g.body(map[string]any{"application/json": events.RateCard{}, "application/yaml": events.RateCard{}}),
	}, g.simulate)
}

func (g *Gateway) simulate(ctx context.Context, in *simulateInput) (*simulateOutput, error) {
	if g.CompileRateCard == nil {
		return nil, newProblem(http.StatusNotImplemented, "this gateway cannot rate")
	}
	card, err := parseDocument(in.ContentType, "rate card "+in.Card, in.RawBody, func(name string, src []byte) (events.RateCard, error) {
		return catalog.ParseRateCard(name, src) // its examples may be wrong still
	})
	if err != nil {
		return nil, err
	}
	if err := sameName("/card", card.Card, in.Card); err != nil {
		return nil, err
	}
	versions, err := g.cardVersions(ctx, in.Card)
	if err != nil {
		return nil, err
	}
	if n := len(versions); n > 0 {
		card.Version = versions[n-1].Version
	}
	card.Version++ // as it would be applied
	rate, err := g.CompileRateCard(card)
	if err != nil {
		return nil, invalid("the document is not valid", Fault{Code: "invalid", Detail: err.Error()})
	}
	if in.Since.IsZero() {
		in.Since = g.Now().Add(-simulateDefault)
	}
	if err := g.online(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	end, err := g.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	result, err := g.runSimulation(ctx, card, rate, in)
	if errors.Is(err, events.ErrOverflow) {
		return nil, invalid("the usage is too much to be added up", Fault{Code: "overflow", Detail: err.Error()})
	}
	if err != nil {
		return nil, err
	}
	return &simulateOutput{Body: result}, nil
}

func (g *Gateway) runSimulation(ctx context.Context, card events.RateCard, rate simulate.Rate, in *simulateInput) (simulate.Result, error) {
	c := simulate.Config{Card: card.Card, Rate: rate, Since: in.Since}
	from := in.Since
	if simulate.AsksAccount(card) {
		terms, err := g.terms(ctx, in.Account)
		if err != nil {
			return simulate.Result{}, err
		}
		c.Terms = func(account string) simulate.Terms { return terms[account] }
		if simulate.Counts(card) {
			from = earliest(terms, in.Since)
		}
	}
	s := simulate.New(c)
	source, through, err := g.pastUsage(ctx, in.Account, from, s.Add)
	if err != nil {
		return simulate.Result{}, err
	}
	result, err := s.Result()
	result.Source, result.Sequence = source, through
	return result, err
}

// earliest is when the first of the billing periods started that contain since.
func earliest(terms map[string]simulate.Terms, since time.Time) time.Time {
	from, _ := simulate.Terms{}.Period(since)
	for _, t := range terms {
		if start, _ := t.Period(since); start.Before(from) {
			from = start
		}
	}
	return from
}

// pastUsage reads usage from ClickHouse, or from the ledger when there is none,
// and says through which ledger message.
func (g *Gateway) pastUsage(ctx context.Context, account string, from time.Time, visit func(events.Usage, events.Credits) error) (source string, through uint64, err error) {
	if g.Analytics == nil {
		through, err = g.ledgerUsage(ctx, account, from, visit)
		return fromLedger, through, err
	}
	done, total := uint64(0), uint64(0)
	span := analytics.Span{Account: account, Since: from}
	if span.Through, err = g.Analytics.ProjectedThrough(ctx); err == nil {
		total, err = g.Analytics.CountEvents(ctx, span)
	}
	if err != nil {
		g.Logger.Warn("past usage not read", "err", err)
		return "", 0, unavailable("past usage is not available now: ClickHouse does not answer")
	}
	tell := g.progress(ctx)
	return fromClickHouse, span.Through, g.Analytics.Events(ctx, span, func(u events.Usage, charged events.Credits) error {
		if done++; tell != nil {
			tell(done, total)
		}
		return visit(u, charged)
	})
}

// ledgerUsage reads the usage that the ledger charges.
func (g *Gateway) ledgerUsage(ctx context.Context, account string, from time.Time, visit func(events.Usage, events.Credits) error) (through uint64, err error) {
	subject := "ledger.*." + string(events.WriterUsage)
	if account != "" {
		subject = events.LedgerSubject(events.Partition(account, g.Streams.Partitions), events.WriterUsage)
	}
	ledger := g.broker.Log(events.StreamLedger)
	state, err := ledger.State(ctx)
	if err != nil {
		return 0, err
	}
	tell := g.progress(ctx)
	// No event is stored long before it happened, and its debit comes later.
	err = stream.Each(ctx, ledger, stream.From{Since: from.Add(-g.MaxAhead)}, func(m stream.Message) error {
		if tell != nil {
			tell(m.Sequence, state.Last)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
		}
		for _, e := range chunk.Entries {
			if e.Debit == nil || e.Debit.Time.Before(from) || account != "" && e.Account != account {
				continue
			}
			if err := visit(e.Debit.Usage(e.Account), e.Debit.Amount); err != nil {
				return err
			}
		}
		return nil
	}, subject)
	return state.Last, err
}

// terms are those of one account, or of all, as they are set now.
func (g *Gateway) terms(ctx context.Context, account string) (map[string]simulate.Terms, error) {
	plans := map[string]events.Plan{}
	var accounts []events.Account
	err := stream.Newest(ctx, g.broker.Log(stream.BucketLog(events.BucketCatalog)), func(m stream.Message) error {
		key := stream.BucketKey(events.BucketCatalog, m.Subject)
		if m.Deletes() {
			return nil
		}
		if name, ok := strings.CutPrefix(key, events.CatalogPlan); ok {
			var plan events.Plan
			err := json.Unmarshal(m.Data, &plan)
			plans[name] = plan
			return err
		}
		id, ok := strings.CutPrefix(key, events.CatalogAccount)
		if !ok || account != "" && id != account {
			return nil
		}
		var a events.Account
		err := json.Unmarshal(m.Data, &a)
		a.ID = id
		accounts = append(accounts, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts' terms: %w", err)
	}
	terms := make(map[string]simulate.Terms, len(accounts))
	for _, a := range accounts {
		if terms[a.ID], err = simulate.TermsOf(a, plans[a.Plan]); err != nil {
			return nil, fmt.Errorf("read the terms of account %s: %w", a.ID, err)
		}
	}
	return terms, nil
}
