package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/retroactive"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
)

// retroactiveTime bounds the amending of past usage. Beyond, the same request goes
// on where it was.
const retroactiveTime = 24 * time.Hour

// putRetroactively applies a rate card for usage that was charged already, and
// amends that. It is done for one card at a time.
func (g *Gateway) putRetroactively(ctx context.Context, card events.RateCard) (*putCardOutput, error) {
	switch {
	case g.CompileRateCard == nil:
		return nil, newProblem(http.StatusNotImplemented, "this gateway cannot rate")
	case card.EffectiveFrom.IsZero():
		return nil, invalid("the document is not valid", Fault{Path: "/effective_from", Code: "missing",
			Detail: "a card that is applied retroactively says from when it is in force; found no effective_from"})
	}
	ctx, cancel := context.WithTimeout(ctx, retroactiveTime)
	defer cancel()
	extend(ctx, retroactiveTime)
	var out *putCardOutput
	host, _ := os.Hostname() // a name for people
	err := lease.Alone(ctx, g.broker, "retroactive", fmt.Sprintf("gateway %s, process %d", host, os.Getpid()), func(ctx context.Context) error {
		var err error
		if out, err = g.applyCard(ctx, card); err != nil {
			return err
		}
		out.Body.Retroactive, err = g.amendUsage(ctx, out.Body.RateCard)
		return err
	})
	if errors.Is(err, lease.ErrTaken) {
		return nil, conflict("taken", "past usage is being amended already: %v. Wait for that to end, and apply the card then", err).with("Retry-After", "10")
	}
	return out, err
}

// amendUsage amends what was charged otherwise than the stored card says.
func (g *Gateway) amendUsage(ctx context.Context, card events.RateCard) (*retroactive.Repricing, error) {
	book := &cardBook{Gateway: g, card: card.Card}
	if err := book.await(ctx, card.Version); err != nil {
		return nil, err
	}
	terms, err := g.terms(ctx, "")
	if err != nil {
		return nil, err
	}
	ledger := g.ledger()
	ledger.Turn = nil // it is one at a time, and long
	c := retroactive.Config{
		Ledger: ledger, Decide: g.decideAmendment, Logger: g.Logger, Card: card.Card,
		Reason:  fmt.Sprintf("rate card %s version %d, in force from %s", card.Card, card.Version, card.EffectiveFrom.UTC().Format(time.RFC3339Nano)),
		Rerate:  rerate.Config{At: book.at, From: card.EffectiveFrom, Terms: func(account string) simulate.Terms { return terms[account] }},
		Refresh: book.refresh, Since: earliest(terms, card.EffectiveFrom), MaxAhead: g.MaxAhead,
	}
	report, err := retroactive.Run(ctx, c, g.progress(ctx))
	if err != nil {
		g.Logger.Warn("past usage is amended in part", "card", card.Card, "version", card.Version, "amended", report.Amended, "err", err)
		return nil, unavailable("version %d of rate card %s is applied, and %d events are amended so far: %v. The same request again goes on from there",
			card.Version, card.Card, report.Amended, err)
	}
	return &report, nil
}

// decideAmendment is decideBehind whose error tells a correction that the fold
// refused from one of which nothing is known.
func (g *Gateway) decideAmendment(ctx context.Context, e events.Entry, subject string, last uint64) (events.Decision, error) {
	d, err := g.decideBehind(ctx, e, subject, last)
	if d.Outcome == events.Refused {
		return d, &retroactive.RefusedError{Code: d.Code, Detail: d.Detail}
	}
	return d, err
}

// cardBook is every version of a rate card that is in the catalogue.
type cardBook struct {
	*Gateway
	card string

	mu     sync.RWMutex
	latest int
	book   rerate.Book
}

func (b *cardBook) at(t time.Time) (rerate.Version, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.book.At(t)
}

// await waits for the catalogue to hold a version that is in the ledger.
func (b *cardBook) await(ctx context.Context, version int) error {
	const look = 20 * time.Millisecond
	for waited := time.Duration(0); ; waited += look {
		if err := b.refresh(ctx); err != nil || b.latest >= version {
			return err
		}
		if waited > b.DecisionTimeout {
			return unavailable("version %d of rate card %s is applied, and the catalogue does not show it yet; the same request again goes on from there", version, b.card)
		}
		if err := pause.For(ctx, look); err != nil {
			return err
		}
	}
}

// refresh reads the versions again if there is one more.
func (b *cardBook) refresh(ctx context.Context) error {
	if _, ok, err := lookup[events.RateCard](ctx, b.Gateway, b.Streams.Catalog, cardKey(b.card, b.latest+1)); err != nil || !ok {
		return err
	}
	cards, err := b.versions(ctx, b.card)
	if err != nil {
		return err
	}
	var all []rerate.Version
	for _, card := range cards {
		rate, err := b.CompileRateCard(card)
		if err != nil {
			return fmt.Errorf("compile version %d of rate card %s: %w", card.Version, b.card, err)
		}
		all = append(all, rerate.Version{Card: card, Rate: rate})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book, b.latest = rerate.NewBook(all...), cards[len(cards)-1].Version
	return nil
}
