package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/internal/retroactive"
)

const routeCard = "/v1/ratecards/{card}"

// CardPath names a rate card in the path.
type CardPath struct {
	Card string `path:"card" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a name of 1 to 64 of A–Z a–z 0–9 _ -"`
}

type putCardInput struct {
	CardPath
	Document
	Retroactive bool `query:"retroactive" doc:"Apply it from a time from which on events were charged already, and amend each whose charge differs. The same request again goes on where the one before was cut off."`
}

type getCardInput struct {
	CardPath
	Version int `query:"version" minimum:"1" doc:"Default the latest."`
}

type cardOutput struct {
	Body events.RateCard
}

type putCardOutput struct {
	Status int
	Body   CardDecision
}

// CardDecision is a rate card as it was applied.
type CardDecision struct {
	events.RateCard
	Outcome events.Outcome `json:"outcome" doc:"applied, or unchanged when the latest version said the same."`
	// Retroactive says what came of it for past usage.
	Retroactive *retroactive.Repricing `json:"retroactive,omitempty" doc:"Of a card that was applied retroactively."`
}

// CardSummary is one rate card, or one version of it, without its rules.
type CardSummary struct {
	Card          string    `json:"card"`
	Version       int       `json:"version"`
	EffectiveFrom time.Time `json:"effective_from,omitzero"`
	Rules         int       `json:"rules" doc:"How many."`
}

type cardsOutput struct {
	Body CardSummaries
}

// CardSummaries lists rate cards.
type CardSummaries struct {
	RateCards []CardSummary `json:"ratecards" nullable:"false"`
}

func (g *Gateway) rateCardRoutes() {
	register(g, huma.Operation{
		OperationID: "put-ratecard", DefaultStatus: http.StatusCreated, Errors: addErrors, Method: http.MethodPut, Path: routeCard, Tags: []string{"Rate cards"},
		Summary: "Apply a rate card",
		Description: "In YAML or JSON. 201 with a new version, 200 when its latest version says the same already, 422 when one of its examples is wrong. " +
			"409 when events that happened since it is to be in force were charged by another version, unless it is applied retroactively: then each whose charge differs is amended. " +
			"With the header Drawdown-Progress, interim answers (102) say how far it is.",
		RequestBody: g.body(map[string]any{"application/json": events.RateCard{}, "application/yaml": events.RateCard{}}),
	}, g.putCard)
	register(g, huma.Operation{
		OperationID: "get-ratecard", Method: http.MethodGet, Path: "/v1/ratecards/{card}", Tags: []string{"Rate cards"}, Summary: "Read a rate card",
	}, g.getCard)
	register(g, huma.Operation{
		OperationID: "list-ratecards", Method: http.MethodGet, Path: "/v1/ratecards", Tags: []string{"Rate cards"},
		Summary: "List the rate cards, each with its latest version",
	}, g.listCards)
	register(g, huma.Operation{
		OperationID: "list-ratecard-versions", Method: http.MethodGet, Path: "/v1/ratecards/{card}/versions", Tags: []string{"Rate cards"},
		Summary: "List the versions of a rate card",
	}, g.listCardVersions)
}

func cardKey(card string, version int) string {
	return fmt.Sprintf("%s%s.%d", events.CatalogRateCard, card, version)
}

func (g *Gateway) putCard(ctx context.Context, in *putCardInput) (*putCardOutput, error) {
	card, err := parseDocument(in.ContentType, "rate card "+in.Card, in.RawBody, g.parseRateCard)
	if err != nil {
		return nil, err
	}
	if err := sameName("/card", card.Card, in.Card); err != nil {
		return nil, err
	}
	if err := g.online(); err != nil {
		return nil, err
	}
	if in.Retroactive {
		return g.putRetroactively(ctx, card)
	}
	checking, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	extend(ctx, longTime)
	if err := g.checkUnused(checking, card); err != nil {
		return nil, err
	}
	return g.applyCard(ctx, card)
}

// applyCard stores a version of a rate card.
func (g *Gateway) applyCard(ctx context.Context, card events.RateCard) (*putCardOutput, error) {
	decision, err := g.decide(ctx, events.Entry{Kind: events.EntryRateCard, RateCard: &card})
	if err != nil {
		return nil, err
	}
	stored, ok, err := lookup[events.RateCard](ctx, g, g.Streams.Catalog, cardKey(card.Card, decision.Version))
	if err != nil || !ok { // it is in the ledger; the catalogue's copy may follow later
		stored = card
		stored.Version = decision.Version
	}
	return &putCardOutput{Status: createdStatus(decision.Outcome), Body: CardDecision{RateCard: stored, Outcome: decision.Outcome}}, nil
}

func (g *Gateway) parseRateCard(name string, src []byte) (events.RateCard, error) {
	if g.CheckRateCard == nil {
		return catalog.ParseRateCard(name, src)
	}
	return catalog.ParseRateCard(name, src, g.CheckRateCard)
}

func (g *Gateway) getCard(ctx context.Context, in *getCardInput) (*cardOutput, error) {
	version := in.Version
	if version == 0 {
		versions, err := g.cardVersions(ctx, in.Card)
		if err != nil {
			return nil, err
		}
		if len(versions) == 0 {
			return nil, notFound("there is no rate card %s", in.Card)
		}
		version = versions[len(versions)-1].Version
	}
	card, ok, err := lookup[events.RateCard](ctx, g, g.Streams.Catalog, cardKey(in.Card, version))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("there is no version %d of rate card %s", version, in.Card)
	}
	return &cardOutput{Body: card}, nil
}

// cardVersions returns the versions of the cards that match filter, by card
// and version.
func (g *Gateway) cardVersions(ctx context.Context, filter string) ([]CardSummary, error) {
	var found []CardSummary
	err := g.keys(ctx, g.Streams.Catalog, events.CatalogRateCard+filter+".*", func(key string) {
		card, text, _ := strings.Cut(after(key, events.CatalogRateCard), ".")
		if version, err := strconv.Atoi(text); err == nil {
			found = append(found, CardSummary{Card: card, Version: version})
		}
	})
	slices.SortFunc(found, func(a, b CardSummary) int {
		return cmp.Or(strings.Compare(a.Card, b.Card), a.Version-b.Version)
	})
	return found, err
}

func (g *Gateway) listCards(ctx context.Context, _ *struct{}) (*cardsOutput, error) {
	versions, err := g.cardVersions(ctx, "*")
	if err != nil {
		return nil, err
	}
	var latest []CardSummary
	for i, v := range versions {
		if i+1 == len(versions) || versions[i+1].Card != v.Card {
			latest = append(latest, v)
		}
	}
	return g.summarize(ctx, latest)
}

func (g *Gateway) listCardVersions(ctx context.Context, in *CardPath) (*cardsOutput, error) {
	versions, err := g.cardVersions(ctx, in.Card)
	if err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		return nil, notFound("there is no rate card %s", in.Card)
	}
	return g.summarize(ctx, versions)
}

// summarize fills in what the keys do not say; of many, of the newest.
func (g *Gateway) summarize(ctx context.Context, found []CardSummary) (*cardsOutput, error) {
	out := &cardsOutput{Body: CardSummaries{RateCards: []CardSummary{}}}
	for _, s := range found[max(0, len(found)-listMax):] {
		card, ok, err := lookup[events.RateCard](ctx, g, g.Streams.Catalog, cardKey(s.Card, s.Version))
		if err != nil {
			return nil, err
		}
		if ok {
			s.EffectiveFrom, s.Rules = card.EffectiveFrom, len(card.Rules)
			out.Body.RateCards = append(out.Body.RateCards, s)
		}
	}
	return out, nil
}
