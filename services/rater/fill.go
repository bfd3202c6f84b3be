package rater

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// filler turns messages into settled events of a chunk, event by event.
type filler struct {
	*partition
	chunk       *chunk
	corrections <-chan stream.Message

	message stream.Message // being taken apart
	items   []events.Item
	index   int  // of the next item
	fresh   bool // the rate cards are as new as the message
	known   bool // so are plans and accounts
}

// admit counts the corrections that have come, some at a time, so that many of
// them do not hold up usage.
func (f *filler) admit() error {
	const some = 1000
	for range some {
		select {
		case m := <-f.corrections:
			if err := f.amend(m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// amend counts a correction for the events that are rated next.
func (f *filler) amend(m stream.Message) error {
	f.chunk.corrected = stream.MarkOf(m)
	return f.correct(m, f.chunk.counts)
}

// take begins with a message; fill must have finished the one before.
func (f *filler) take(m stream.Message) {
	f.message, f.index, f.fresh, f.known = m, 0, false, false
	f.items = events.DecodeMessage(m.Subject, m.Header, m.Data, f.config.Partitions)
	f.pending = m.Pending
	f.metrics.pending.WithLabelValues(label(f.number)).Set(float64(m.Pending))
}

// fill settles events until the chunk is full or no message is there.
func (f *filler) fill(ctx context.Context, messages <-chan stream.Message) error {
	for {
		for ; f.index < len(f.items); f.index++ {
			if f.chunk.full() {
				return nil
			}
			if err := f.settle(ctx, f.index); err != nil {
				return err
			}
		}
		if f.chunk.full() {
			return nil
		}
		select {
		case m := <-messages:
			f.take(m)
		default:
			return nil
		}
	}
}

// settle decides one event: a debit, a duplicate or a dead letter.
func (f *filler) settle(ctx context.Context, index int) error {
	at := events.Position{Sequence: f.message.Sequence, Index: index, StoredAt: f.message.Time}
	if !behind(f.position, at) {
		return nil // settled before the session began
	}
	item := &f.items[index]
	if item.Err != nil {
		f.reject(at, item, item.Err.Code, item.Err.Error())
		return nil
	}
	key := dedup.KeyOf(item.Usage.Source, item.Usage.ID)
	switch known, err := f.has(key); {
	case err != nil:
		return err
	case known:
		f.chunk.duplicate(at)
		return nil
	}
	if p := f.checkTime(item.Usage); p != nil {
		f.reject(at, item, p.Code, p.Error())
		return nil
	}
	card, charge, err := f.rate(ctx, item.Usage)
	switch {
	case err == nil:
	case errors.Is(err, events.ErrOverflow):
		f.reject(at, item, events.CodeOverflow, err.Error())
		return nil
	case errors.Is(err, rating.ErrUnratable), errors.Is(err, errNoCard):
		f.reject(at, item, events.CodeUnratable, err.Error())
		return nil
	default:
		return err
	}
	f.add(key)
	debit := events.Debit{
		Source: item.Usage.Source, ID: item.Usage.ID, Time: item.Usage.Time, Data: item.Usage.Data, Position: at,
		Amount: charge.Amount, Card: card.Name(), Version: card.Version(), Rule: charge.Rule, Arithmetic: charge.Arithmetic, Tiers: charge.Tiers,
	}
	f.chunk.charge(item.Usage, debit, key, len(item.Raw))
	return f.count(item.Usage.Account, &debit, f.chunk.counts)
}

// checkTime compares the time of u with the time in the stream, so that every run
// decides alike.
func (f *filler) checkTime(u events.Usage) *events.Problem {
	if p := events.CheckTime(u, f.message.Time, f.config.MaxAhead); p != nil {
		return p
	}
	return events.CheckAge(u, f.message.Time, f.config.Horizon, f.config.MaxAhead)
}

var errNoCard = errors.New("no rate card is in force")

// rate prices u by the card in force at its time. Before it answers that there
// is no card or no price, it makes sure that it knows of every card applied
// before the event was published.
func (f *filler) rate(ctx context.Context, u events.Usage) (*rating.Card, rating.Charge, error) {
	card, charge, err := f.price(ctx, f.cards.current(), u)
	if f.fresh || !errors.Is(err, errNoCard) && !errors.Is(err, rating.ErrUnratable) {
		return card, charge, err
	}
	if err := f.cards.refresh(ctx); err != nil {
		return nil, rating.Charge{}, err
	}
	f.fresh = true
	return f.price(ctx, f.cards.current(), u)
}

func (f *filler) price(ctx context.Context, book rating.Book, u events.Usage) (*rating.Card, rating.Charge, error) {
	card, ok := book.At(u.Time)
	if !ok {
		return nil, rating.Charge{}, fmt.Errorf("%w at %s", errNoCard, u.Time.Format(time.RFC3339Nano))
	}
	about, err := f.context(ctx, card, &u)
	if err != nil {
		return nil, rating.Charge{}, err
	}
	charge, err := card.Rate(u, about)
	return card, charge, err
}

// context is what card asks of the account of u: its plan, its billing period and
// what it used in that. Whatever was set of it before the event was published
// counts.
func (f *filler) context(ctx context.Context, card *rating.Card, u *events.Usage) (rating.Context, error) {
	if !card.ReadsAccounts() {
		return rating.Context{}, nil
	}
	if !f.known {
		if err := f.accounts.catchUp(ctx); err != nil {
			return rating.Context{}, err
		}
		f.known = true
	}
	account := u.Account
	plan, period := f.accounts.of(account, u.Time)
	return rating.Context{Plan: plan, Period: period, Used: func(c events.Counter) (events.Total, error) {
		return f.total(dedup.CounterKeyOf(account, period, c))
	}}, nil
}

func (f *filler) reject(at events.Position, item *events.Item, code, detail string) {
	f.chunk.reject(at, events.DeadLetter{
		Reason: code, Detail: detail, Subject: f.message.Subject,
		Sequence: at.Sequence, Index: at.Index, StoredAt: at.StoredAt,
		Header: f.originalHeader(item), Body: item.Raw,
	})
}

// originalHeader is the header that the body of item had, or would have had by
// itself: an element of a batch is a single event.
func (f *filler) originalHeader(item *events.Item) map[string][]string {
	header := map[string][]string(f.message.Header)
	_, batch, err := events.ParseUsageSubject(f.message.Subject)
	if err != nil || !batch || len(item.Raw) == len(f.message.Data) {
		return header
	}
	own := maps.Clone(header)
	if own == nil {
		own = map[string][]string{}
	}
	maps.DeleteFunc(own, func(name string, _ []string) bool { return strings.EqualFold(name, events.HeaderContentType) })
	own[events.HeaderContentType] = []string{events.ContentTypeEvent}
	return own
}
