// Package simulate tells what past usage would cost by another rate card: what
// each account paid for each operation, what it would pay, and who gains and
// loses most.
//
// It is pure and writes nothing. How a card rates is told to it as a Rate;
// where past usage comes from is the caller's affair.
package simulate

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Context is what a card may ask about the account of a usage event. It is what
// rating.Context says, again: the gateway simulates and may not import the rater.
type Context struct {
	Plan string // the account's; empty when it has none
	// Period is when the billing period started that contains the event's time.
	Period time.Time
	// Used returns where a counter of the account stands in that period, before
	// the event. It is never nil, and its error always is.
	Used func(events.Counter) (events.Total, error)
}

// Charge is what one usage event costs by a card and why, and what that adds to
// counters.
type Charge struct {
	Amount     events.Credits
	Rule       string
	Arithmetic string
	Tiers      []events.Tier
}

// Rate rates one usage event by a card. Its error says why it would be refused.
type Rate func(events.Usage, Context) (Charge, error)

// Config says what to simulate.
type Config struct {
	Card  string
	Rate  Rate
	Terms func(account string) Terms // nil: no account has a plan
	// Since is from when on usage counts. Earlier usage, in the billing period of
	// the account that contains Since, only moves counters.
	Since time.Time
}

// Simulation adds up past usage. It is for one goroutine.
type Simulation struct {
	config   Config
	accounts map[string]*account
	current  *account // of the last event
	result   Result
}

// New returns a simulation of no usage.
func New(c Config) *Simulation {
	return &Simulation{config: c, accounts: map[string]*account{}, result: Result{Card: c.Card, Since: c.Since.UTC()}}
}

// account is what is known of one account.
type account struct {
	id         string
	terms      Terms
	first      time.Time // the start of the period that contains Since
	start, end time.Time // of the period of the last event
	operations map[string]*Row
	counters   map[counter]events.Total
}

// counter is a counter in a billing period.
type counter struct {
	events.Counter
	period int64 // its start, in microseconds
}

// Add adds a usage event that cost charged. Events of an account come in the
// order in which their counters are to move. It answers events.ErrOverflow when
// a sum is more than credits can be.
func (s *Simulation) Add(u events.Usage, charged events.Credits) error {
	a := s.account(u.Account)
	period := a.period(u.Time)
	counts := !u.Time.Before(s.config.Since)
	if !counts && !period.Equal(a.first) {
		return nil
	}
	charge, err := s.config.Rate(u, Context{Plan: a.terms.Plan, Period: period, Used: func(c events.Counter) (events.Total, error) {
		return a.counters[counter{c, period.UnixMicro()}], nil
	}})
	if err == nil {
		err = a.count(s.config.Card, charge, period)
	}
	if !counts {
		return nil
	}
	s.result.Events++
	if err != nil {
		s.result.refuse(u, charged, err)
		return nil
	}
	if err := a.operation(u.Data.Operation).add(charged, charge.Amount); err != nil {
		return fmt.Errorf("add up %s of account %s: %w", u.Data.Operation, u.Account, err)
	}
	return nil
}

func (s *Simulation) account(id string) *account {
	if s.current != nil && s.current.id == id {
		return s.current
	}
	a, ok := s.accounts[id]
	if !ok {
		a = &account{id: id, operations: map[string]*Row{}, counters: map[counter]events.Total{}}
		if s.config.Terms != nil {
			a.terms = s.config.Terms(id)
		}
		a.first, _ = a.terms.Period(s.config.Since)
		s.accounts[id] = a
	}
	s.current = a
	return a
}

// period is when the billing period started that contains t.
func (a *account) period(t time.Time) time.Time {
	if t.Before(a.start) || !t.Before(a.end) {
		a.start, a.end = a.terms.Period(t)
	}
	return a.start
}

// count moves the counters that a charge counts in.
func (a *account) count(card string, c Charge, period time.Time) error {
	for _, t := range c.Tiers {
		key := counter{events.Counter{Card: card, Rule: c.Rule, Part: t.Part, Quantity: t.Quantity}, period.UnixMicro()}
		total, err := a.counters[key].Add(t.Amount.Total())
		if err != nil {
			return err
		}
		a.counters[key] = total
	}
	return nil
}

func (a *account) operation(name string) *Row {
	r, ok := a.operations[name]
	if !ok {
		r = &Row{Account: a.id, Operation: name}
		a.operations[name] = r
	}
	return r
}
