package correction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// UnratableError says why an event cannot be rated with other data.
type UnratableError struct {
	Code   string // events.CodeUnratable or events.CodeOverflow
	Reason string
}

func (e *UnratableError) Error() string { return e.Reason }

// Amendment rates an event anew as the rater would have, with other data. All
// fields but Progress are required.
type Amendment struct {
	Ledger past.Ledger
	// Cards are the versions of the rate card that rates usage, Compile makes one
	// rate, and Terms are the account's.
	Cards   []events.RateCard
	Compile func(events.RateCard) (simulate.Rate, error)
	Terms   simulate.Terms
	// MaxAhead is how long before it happened an event may be stored.
	MaxAhead time.Duration
	Progress past.Progress

	Data events.UsageData
}

// Charge is the Charge of an event that is taken to have been a.Data. Its error
// is an *UnratableError when no card has a price for that.
func (a Amendment) Charge(ctx context.Context, s Standing) (*events.Debit, error) {
	card, ok := inForce(a.Cards, s.Debit.Time)
	if !ok {
		return nil, &UnratableError{Code: events.CodeUnratable, Reason: "no rate card is in force at " + s.Debit.Time.UTC().Format(time.RFC3339Nano)}
	}
	rate, err := a.Compile(card)
	if err != nil {
		return nil, fmt.Errorf("compile version %d of rate card %s: %w", card.Version, card.Card, err)
	}
	usage := s.Debit.Usage(s.Account)
	usage.Data = a.Data
	period, _ := a.Terms.Period(usage.Time)
	var failed error // of a look at the ledger, which is nobody's input
	charge, err := rate(usage, simulate.Context{Plan: a.Terms.Plan, Period: period, Used: func(c events.Counter) (events.Total, error) {
		before, err := a.before(ctx, s, c, period)
		failed = err
		return before, err
	}})
	switch {
	case failed != nil:
		return nil, failed
	case errors.Is(err, events.ErrOverflow):
		return nil, &UnratableError{Code: events.CodeOverflow, Reason: err.Error()}
	case err != nil:
		return nil, &UnratableError{Code: events.CodeUnratable, Reason: err.Error()}
	}
	now := s.Debit
	now.Data = a.Data
	now.Amount, now.Arithmetic, now.Tiers = charge.Amount, charge.Arithmetic, charge.Tiers
	now.Card, now.Version, now.Rule = card.Card, card.Version, charge.Rule
	return &now, nil
}

// inForce returns the version in force at t: the one that came into force last,
// and of several at that instant the highest version.
func inForce(cards []events.RateCard, t time.Time) (card events.RateCard, ok bool) {
	for _, c := range cards {
		if c.EffectiveFrom.After(t) {
			continue
		}
		later := c.EffectiveFrom.Compare(card.EffectiveFrom)
		if !ok || later > 0 || later == 0 && c.Version > card.Version {
			card, ok = c, true
		}
	}
	return card, ok
}

// before returns where a counter stood when the event came: as a charge of the
// event recorded it, or, where none moved that counter, what the ledger's earlier
// entries add up to.
func (a Amendment) before(ctx context.Context, s Standing, c events.Counter, period time.Time) (events.Total, error) {
	charges := []*events.Debit{&s.Debit}
	for i := range s.History {
		if step := &s.History[i]; step.Stands() && step.Now != nil {
			charges = append(charges, step.Now)
		}
	}
	for _, d := range charges {
		for _, t := range d.Tiers {
			if d.Counter(t) == c && t.Period.Equal(period) {
				return t.Before, nil
			}
		}
	}
	return a.addedUp(ctx, s.Event, c, period)
}

// errThrough ends a reading at the last entry that counts.
var errThrough = errors.New("through")

// addedUp adds up what the entries before e's debit did to a counter of its
// account.
func (a Amendment) addedUp(ctx context.Context, e Event, c events.Counter, period time.Time) (events.Total, error) {
	if a.Ledger.Turn != nil {
		end, err := a.Ledger.Turn(ctx)
		if err != nil {
			return events.Total{}, err
		}
		defer end()
	}
	sum := counted{counter: c, period: period}
	partition := events.Partition(e.Account, a.Ledger.Partitions)
	err := stream.Each(ctx, a.Ledger.Broker.Log(events.StreamLedger), stream.From{Since: period.Add(-a.MaxAhead)}, func(m stream.Message) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m.Sequence > e.First.Sequence {
			return errThrough
		}
		if a.Progress != nil {
			a.Progress(m.Sequence, e.First.Sequence)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
		}
		for i, entry := range chunk.Entries {
			if m.Sequence == e.First.Sequence && i >= e.First.Index {
				break
			}
			if entry.Account != e.Account {
				continue
			}
			if err := sum.take(entry); err != nil {
				return err
			}
		}
		return nil
	}, events.LedgerSubject(partition, events.WriterUsage), events.CorrectionSubjects(partition))
	if err != nil && !errors.Is(err, errThrough) {
		return events.Total{}, fmt.Errorf("add up what %s used of %s: %w", e.Account, c.Quantity, err)
	}
	return sum.total(), nil
}

// counted is what charges did to one counter.
type counted struct {
	counter events.Counter
	period  time.Time
	in, out events.Total
}

func (n *counted) take(e events.Entry) error {
	if e.Debit != nil {
		return n.add(&n.in, e.Debit)
	}
	if e.Correction == nil {
		return nil
	}
	return errors.Join(n.add(&n.out, e.Correction.Was), n.add(&n.in, e.Correction.Now))
}

func (n *counted) add(to *events.Total, d *events.Debit) error {
	if d == nil {
		return nil
	}
	for _, t := range d.Tiers {
		if d.Counter(t) != n.counter || !t.Period.Equal(n.period) {
			continue
		}
		sum, err := to.Add(t.Amount.Total())
		if err != nil {
			return err
		}
		*to = sum
	}
	return nil
}

// total is never below 0: a correction that the fold refused moves counters too,
// and may take out what was not in.
func (n *counted) total() events.Total {
	total, err := n.in.Sub(n.out)
	if err != nil {
		return events.Total{}
	}
	return total
}
