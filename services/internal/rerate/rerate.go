// Package rerate says what usage that was charged would be charged by the rate
// cards as they are now: which charges differ, from what to what.
//
// It rates the way the rater does: each event by the version in force at its own
// time, in the order in which events were charged, with the tier counters as the
// charges before it leave them, those that it finds different included. So the
// sum is what the account would have been charged had each version been applied
// in time. It is pure; how a card rates is told to it, and what was charged, and
// nothing is written.
package rerate

import (
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
)

// Config says by what usage is rated anew.
type Config struct {
	// At is the version in force at a time; ok is false when there is none.
	At    func(time.Time) (v Version, ok bool)
	Terms func(account string) simulate.Terms // nil: no account has a plan
	// From is the time from which on events may be charged anew, by their own
	// time. What happened before keeps its charge, and moves counters.
	From time.Time
}

// Rerating rates the usage of some accounts anew. It is for one goroutine.
type Rerating struct {
	config   Config
	counters map[counter]events.Total
}

// counter is a counter of an account in a billing period.
type counter struct {
	account string
	events.Counter
	period int64 // its start, in microseconds
}

// New returns a rerating of accounts that used nothing yet.
func New(c Config) *Rerating { return &Rerating{config: c, counters: map[counter]events.Total{}} }

// Charge returns what account is to be charged for an event that stands charged
// as it does: stands itself when that is right. It changes nothing; hand what the
// event is charged then to Count. Its error says why the event cannot be charged
// anew: the version in force would refuse it.
func (r *Rerating) Charge(account string, stands *events.Debit) (*events.Debit, error) {
	if stands.Time.Before(r.config.From) {
		return stands, nil
	}
	version, ok := r.config.At(stands.Time)
	if !ok {
		return nil, fmt.Errorf("no version is in force at %s", stands.Time.UTC().Format(time.RFC3339Nano))
	}
	about := r.context(account, stands)
	charge, err := version.Rate(stands.Usage(account), about)
	if err != nil {
		return nil, err
	}
	now := *stands
	now.Card, now.Version, now.Rule = version.Card.Card, version.Card.Version, charge.Rule
	now.Amount, now.Arithmetic, now.Tiers = charge.Amount, charge.Arithmetic, charge.Tiers
	if same(stands, &now) {
		return stands, nil
	}
	return &now, nil
}

// context is what a card may ask about the account of an event. The billing
// period is the one that the event was counted in, should it have been.
func (r *Rerating) context(account string, stands *events.Debit) simulate.Context {
	var terms simulate.Terms
	if r.config.Terms != nil {
		terms = r.config.Terms(account)
	}
	c := simulate.Context{Plan: terms.Plan}
	if len(stands.Tiers) > 0 {
		c.Period = stands.Tiers[0].Period
	} else {
		c.Period, _ = terms.Period(stands.Time)
	}
	period := c.Period.UnixMicro()
	c.Used = func(name events.Counter) (events.Total, error) {
		return r.counters[counter{account, name, period}], nil
	}
	return c
}

// same reports whether two charges of an event cost the same and count the same.
func same(a, b *events.Debit) bool {
	return a.Amount == b.Amount && slices.EqualFunc(a.Tiers, b.Tiers, func(x, y events.Tier) bool {
		return a.Counter(x) == b.Counter(y) && x.Period.Equal(y.Period) && x.Amount == y.Amount
	})
}

// Count moves the counters that what account is charged for the next event counts
// in; nil is a void event, which counts nothing. It answers events.ErrOverflow.
func (r *Rerating) Count(account string, charge *events.Debit) error {
	if charge == nil {
		return nil
	}
	for _, t := range charge.Tiers {
		key := counter{account, charge.Counter(t), t.Period.UnixMicro()}
		total, err := r.counters[key].Add(t.Amount.Total())
		if err != nil {
			return fmt.Errorf("count %s of %s: %w", t.Quantity, account, err)
		}
		r.counters[key] = total
	}
	return nil
}
