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
	"github.com/drawdown-credits/drawdown/services/internal/charges"
	"github.com/drawdown-credits/drawdown/services/internal/past"
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
		OperationID: "simulate-ratecard", Errors: []int{http.StatusNotFound}, Method: http.MethodPost, Path: routeSimulate, Tags: []string{"Rate cards"},
		Summary: "Say what past usage would have cost by another rate card",
		Description: "In YAML or JSON. Nothing is written. By account and operation: what was charged, what would be, and the difference; who gains and loses most; " +
			"and which events the card would refuse. From ClickHouse, or from the ledger when there is none or it does not answer. Void events are left out, and amended ones count as amended. With the header Drawdown-Progress, interim answers (102) say how far it is.",
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
	if in.Account != "" {
		if err := g.known(ctx, in.Account); err != nil {
			return nil, err
		}
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
	return g.simulateFrom(ctx, c, in.Account, from)
}

// simulateFrom reads past usage from ClickHouse, or from the ledger when there is
// none or it does not answer.
func (g *Gateway) simulateFrom(ctx context.Context, c simulate.Config, account string, from time.Time) (simulate.Result, error) {
	corrections, err := charges.ReadCorrections(ctx, g.chargesOf(account, from), nil)
	if err != nil {
		return simulate.Result{}, err
	}
	if g.Analytics != nil {
		s := simulate.New(c)
		through, err := g.clickHouseUsage(ctx, corrections, analytics.Span{Account: account, Since: from}, s.Add)
		var unread *unreadError
		if !errors.As(err, &unread) {
			return resultOf(s, fromClickHouse, through, err)
		}
		g.Logger.Warn("past usage is read from the ledger", "err", unread)
	}
	s := simulate.New(c)
	through, err := g.ledgerUsage(ctx, corrections, from, s.Add)
	return resultOf(s, fromLedger, through, err)
}

func resultOf(s *simulate.Simulation, source string, through uint64, err error) (simulate.Result, error) {
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

// unreadError reports that ClickHouse did not answer, which is nothing against
// the usage it holds.
type unreadError struct{ error }

func (e *unreadError) Unwrap() error { return e.error }

// chargesOf is where the ledger says what is charged for usage from a time on.
func (g *Gateway) chargesOf(account string, from time.Time) charges.Config {
	// No event is stored long before it happened, and its debit comes later.
	c := charges.Config{Ledger: g.broker.Log(events.StreamLedger), Account: account, Since: from.Add(-g.MaxAhead)}
	if account != "" {
		partition := events.Partition(account, g.Streams.Partitions)
		c.Partition = &partition
	}
	return c
}

// visitUsage is told of usage and what is charged for it now.
type visitUsage func(events.Usage, events.Credits) error

// clickHouseUsage reads usage from ClickHouse, with what corrections made of it,
// and says through which ledger message.
func (g *Gateway) clickHouseUsage(ctx context.Context, corrections *charges.Corrections, span analytics.Span, visit visitUsage) (through uint64, err error) {
	done, total := uint64(0), uint64(0)
	if span.Through, err = g.Analytics.ProjectedThrough(ctx); err == nil {
		total, err = g.Analytics.CountEvents(ctx, span)
	}
	if err != nil {
		return 0, &unreadError{err}
	}
	tell := g.progress(ctx)
	var failed error // what is not ClickHouse's fault
	err = g.Analytics.Events(ctx, span, func(e analytics.PastEvent) error {
		if done++; tell != nil {
			tell(done, total)
		}
		var c *events.Correction
		if c, _, failed = corrections.Of(ctx, past.Place{Sequence: e.Sequence, Index: e.Index}); failed != nil {
			return failed
		}
		switch {
		case c == nil:
			failed = visit(e.Usage, e.Charged)
		case c.Now != nil:
			failed = visit(c.Now.Usage(e.Account), c.Now.Amount)
		}
		return failed
	})
	if err != nil && failed == nil && ctx.Err() == nil {
		return 0, &unreadError{err}
	}
	return span.Through, err
}

// ledgerUsage reads the usage that the ledger charges, and says through which of
// its messages.
func (g *Gateway) ledgerUsage(ctx context.Context, corrections *charges.Corrections, from time.Time, visit visitUsage) (through uint64, err error) {
	state, err := g.broker.Log(events.StreamLedger).State(ctx)
	if err != nil {
		return 0, err
	}
	tell := func(uint64) {}
	if progress := g.progress(ctx); progress != nil {
		tell = func(sequence uint64) { progress(sequence, state.Last) }
	}
	err = charges.Each(ctx, corrections, stream.From{Since: from.Add(-g.MaxAhead)}, tell, func(c charges.Charge) error {
		if c.Now == nil || c.Debit.Time.Before(from) {
			return nil
		}
		return visit(c.Now.Usage(c.Account), c.Now.Amount)
	})
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
