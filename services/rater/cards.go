package rater

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// cardSubjects are those of all versions of the default rate card.
var cardSubjects = stream.BucketSubject(events.BucketCatalog, "ratecard."+events.DefaultCard+".*")

// cards follows the versions of the default rate card in bucket CATALOG.
type cards struct {
	broker  stream.Broker
	catalog stream.Log
	log     *slog.Logger
	metrics *metrics

	mu       sync.Mutex
	book     rating.Book
	revision uint64        // up to which the bucket is seen
	changed  chan struct{} // closed when revision grows
	loaded   chan struct{} // closed when everything there at start is seen
}

func newCards(broker stream.Broker, log *slog.Logger, m *metrics) *cards {
	return &cards{
		broker: broker, catalog: broker.Log(stream.BucketLog(events.BucketCatalog)), log: log, metrics: m,
		changed: make(chan struct{}), loaded: make(chan struct{}),
	}
}

// current returns the versions known now.
func (c *cards) current() rating.Book {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book
}

// follow keeps the book up to date until ctx ends.
func (c *cards) follow(ctx context.Context) {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		began := time.Now()
		err := c.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > retryMax {
			wait = retryMin // it held for a while
		}
		c.log.Warn("rate cards are read again", "err", err)
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// watch reads the bucket from the start and follows it, for as long as the
// bucket is known to hold what was read.
func (c *cards) watch(ctx context.Context) error {
	lost, stop := c.broker.Interrupted()
	defer stop()
	c.see(0, nil) // what is known may be gone
	last, _, err := c.last(ctx)
	if err != nil {
		return err
	}
	reader, err := c.catalog.Read(ctx, stream.From{LastPerSubject: true}, cardSubjects)
	if err != nil {
		return err
	}
	defer reader.Close()
	versions := map[string]*rating.Card{} // by subject
	if last.Sequence == 0 {
		c.see(0, versions)
	}
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	var seen stream.Mark
	for {
		select {
		case m := <-reader.Messages():
			c.take(versions, m)
			seen = stream.MarkOf(m)
			if m.Sequence >= last.Sequence {
				c.see(m.Sequence, versions)
			}
		case <-verify.C:
			if err := verified(ctx, c.catalog, seen); err != nil {
				return err
			}
		case <-lost:
			return errReconnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cards) last(ctx context.Context) (stream.Message, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, ok, err := c.catalog.Last(ctx, cardSubjects)
	if err != nil {
		return last, ok, fmt.Errorf("look for newer rate cards: %w", err)
	}
	return last, ok, nil
}

// see makes versions the ones in use, read up to revision; nil keeps the ones
// that are until the bucket is read again.
func (c *cards) see(revision uint64, versions map[string]*rating.Card) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revision = revision; versions == nil {
		return
	}
	c.book = rating.NewBook(slices.Collect(maps.Values(versions))...)
	close(c.changed)
	c.changed = make(chan struct{})
	select {
	case <-c.loaded:
	default:
		close(c.loaded)
	}
}

// take folds one change of the bucket into versions.
func (c *cards) take(versions map[string]*rating.Card, m stream.Message) {
	if m.Deletes() {
		delete(versions, m.Subject)
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
	versions[m.Subject] = card
	c.log.Info("rate card is in use", "card", card.Name(), "version", card.Version(), "effective_from", card.EffectiveFrom())
}

func readCard(value []byte) (*rating.Card, error) {
	var card events.RateCard
	if err := json.Unmarshal(value, &card); err != nil {
		return nil, fmt.Errorf("decode rate card: %w", err)
	}
	return rating.New(card)
}

// refresh returns the book once it holds everything that the bucket does now,
// so that a card applied before an event was published is never missed.
func (c *cards) refresh(ctx context.Context) (rating.Book, error) {
	last, ok, err := c.last(ctx)
	if err != nil {
		return rating.Book{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for {
		c.mu.Lock()
		book, revision, changed := c.book, c.revision, c.changed
		c.mu.Unlock()
		if !ok || revision >= last.Sequence {
			return book, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return rating.Book{}, fmt.Errorf("wait for rate card at revision %d of the catalog: %w", last.Sequence, ctx.Err())
		}
	}
}
