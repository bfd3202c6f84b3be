package rater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

const cardKeys = "ratecard." + events.DefaultCard + ".*"

var errWatchEnded = errors.New("the watch of the catalog ended")

// cards follows the versions of the default rate card in bucket CATALOG.
type cards struct {
	bucket  jetstream.KeyValue
	stream  jetstream.Stream // under the bucket
	log     *slog.Logger
	metrics *metrics

	mu       sync.Mutex
	versions map[string]*rating.Card // by key
	book     rating.Book
	revision uint64        // up to which the bucket is seen
	changed  chan struct{} // closed when revision grows
	loaded   chan struct{} // closed when everything there at start is seen
}

func openCards(ctx context.Context, js jetstream.JetStream, log *slog.Logger, m *metrics) (*cards, error) {
	bucket, err := js.KeyValue(ctx, events.BucketCatalog)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", events.BucketCatalog, err)
	}
	under, err := js.Stream(ctx, "KV_"+events.BucketCatalog)
	if err != nil {
		return nil, fmt.Errorf("open the stream of bucket %s: %w", events.BucketCatalog, err)
	}
	return &cards{
		bucket: bucket, stream: under, log: log, metrics: m,
		versions: map[string]*rating.Card{}, changed: make(chan struct{}), loaded: make(chan struct{}),
	}, nil
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
		err := c.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("rate cards are read again", "err", err)
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

func (c *cards) watch(ctx context.Context) error {
	watcher, err := c.bucket.Watch(ctx, cardKeys)
	if err != nil {
		return fmt.Errorf("watch %s: %w", cardKeys, err)
	}
	defer func() { _ = watcher.Stop() }() // it ends with its context
	for {
		select {
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errWatchEnded
			case entry == nil:
				c.finishLoading()
			default:
				c.take(entry)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cards) finishLoading() {
	select {
	case <-c.loaded:
	default:
		close(c.loaded)
	}
}

// take folds one change of the bucket into the book.
func (c *cards) take(entry jetstream.KeyValueEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry.Operation() == jetstream.KeyValuePut {
		card, err := readCard(entry.Value())
		if err != nil {
			// Nothing is in the catalog that the gateway did not check, so this
			// is a version of a newer Drawdown, or not ours.
			c.metrics.badCards.Inc()
			c.log.Error("rate card in the catalog is not used", "key", entry.Key(), "revision", entry.Revision(), "err", err)
		} else {
			c.versions[entry.Key()] = card
			c.log.Info("rate card is in use", "card", card.Name(), "version", card.Version(), "effective_from", card.EffectiveFrom())
		}
	} else {
		delete(c.versions, entry.Key())
	}
	all := make([]*rating.Card, 0, len(c.versions))
	for _, card := range c.versions {
		all = append(all, card)
	}
	c.book = rating.NewBook(all...)
	c.revision = max(c.revision, entry.Revision())
	close(c.changed)
	c.changed = make(chan struct{})
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, ok, err := stream.Last(ctx, c.stream, "$KV."+events.BucketCatalog+"."+cardKeys)
	if err != nil {
		return rating.Book{}, fmt.Errorf("look for newer rate cards: %w", err)
	}
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
