package rater

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// cards are the versions of the default rate card.
type cards struct {
	*view
	log     *slog.Logger
	metrics *metrics

	versions map[string]*rating.Card // by subject, of the view's goroutine

	inUse sync.Mutex
	book  rating.Book
}

func newCards(broker stream.Broker, log *slog.Logger, m *metrics) *cards {
	c := &cards{log: log, metrics: m}
	c.view = newView(broker, log, "rate cards", events.CatalogRateCard+events.DefaultCard+".*", c)
	return c
}

// current returns the versions known now.
func (c *cards) current() rating.Book {
	c.inUse.Lock()
	defer c.inUse.Unlock()
	return c.book
}

func (c *cards) begin() { c.versions = map[string]*rating.Card{} }

func (c *cards) take(m stream.Message) {
	if m.Deletes() {
		delete(c.versions, m.Subject)
		return
	}
	card, err := readCard(m.Data)
	if err != nil {
		// Nothing is in the catalog that the gateway did not check, so this
		// is a version of a newer Drawdown, or not ours.
		c.metrics.badCards.Inc()
		c.log.Error("rate card in the catalog is not used", "subject", m.Subject, "revision", m.Sequence, "err", err)
		return
	}
	c.versions[m.Subject] = card
	c.log.Info("rate card is in use", "card", card.Name(), "version", card.Version(), "effective_from", card.EffectiveFrom())
}

func (c *cards) publish() {
	book := rating.NewBook(slices.Collect(maps.Values(c.versions))...)
	c.inUse.Lock()
	defer c.inUse.Unlock()
	c.book = book
}

func readCard(value []byte) (*rating.Card, error) {
	var card events.RateCard
	if err := json.Unmarshal(value, &card); err != nil {
		return nil, fmt.Errorf("decode rate card: %w", err)
	}
	return rating.New(card)
}
