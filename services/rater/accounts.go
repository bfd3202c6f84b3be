package rater

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// accounts are the plans of accounts and their billing periods, for rate cards
// that ask for them. Until one does, nothing is read.
type accounts struct {
	*view
	log    *slog.Logger
	wanted chan struct{} // closed when somebody asks
	ask    func()

	mu      sync.Mutex
	use     *standings
	reading *standings // of the view's goroutine until it is in use
}

// standings are what the catalog says of plans and accounts, by subject.
type standings struct {
	plans    map[string]billing // by name
	accounts map[string]standing
}

// standing is what is set of one account.
type standing struct {
	plan    string
	own     billing // no period: the plan's
	started int64   // microseconds since 1970
}

// billing is the length of a period: whole months or a time; none has neither.
type billing struct {
	months int
	length time.Duration
}

func (b billing) none() bool { return b == billing{} }

func newAccounts(broker stream.Broker, log *slog.Logger) *accounts {
	a := &accounts{log: log, wanted: make(chan struct{})}
	a.ask = sync.OnceFunc(func() { close(a.wanted) })
	a.view = newView(broker, log, "accounts and plans", "*.*", a)
	return a
}

// follow keeps the accounts up to date from when somebody asks until ctx ends.
func (a *accounts) follow(ctx context.Context) {
	select {
	case <-a.wanted:
		a.view.follow(ctx)
	case <-ctx.Done():
	}
}

// catchUp returns once everything is known that is set of accounts and plans.
func (a *accounts) catchUp(ctx context.Context) error {
	a.ask()
	select {
	case <-a.loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	return a.refresh(ctx)
}

// of returns the plan of an account, empty for none, and the start of its
// billing period around at: the plan's, or its own, anchored at its start; a
// calendar month in UTC for one that has none.
func (a *accounts) of(account string, at time.Time) (plan string, period time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.use.accounts[account]
	length := s.own
	if length.none() {
		length = a.use.plans[s.plan]
	}
	anchor := time.UnixMicro(s.started)
	if length.none() {
		length, anchor = billing{months: 1}, time.Unix(0, 0)
	}
	period, _ = events.PeriodAround(length.months, length.length, anchor, at)
	return s.plan, period
}

func (a *accounts) begin() {
	a.reading = &standings{plans: map[string]billing{}, accounts: map[string]standing{}}
}

func (a *accounts) take(m stream.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := stream.BucketKey(events.BucketCatalog, m.Subject)
	if name, ok := strings.CutPrefix(key, events.CatalogPlan); ok {
		delete(a.reading.plans, name)
		var plan events.Plan
		if length, ok := a.read(m, &plan, &plan.Period); ok {
			a.reading.plans[name] = length
		}
	} else if name, ok := strings.CutPrefix(key, events.CatalogAccount); ok {
		delete(a.reading.accounts, name)
		var account events.Account
		if length, ok := a.read(m, &account, &account.Period); ok {
			a.reading.accounts[name] = standing{plan: account.Plan, own: length, started: account.StartedAt.UnixMicro()}
		}
	}
}

// read decodes m into content, whose period it returns; ok is false when m
// deletes its key, or cannot be read.
func (a *accounts) read(m stream.Message, content any, period *string) (length billing, ok bool) {
	if m.Deletes() {
		return billing{}, false
	}
	err := json.Unmarshal(m.Data, content)
	if err == nil && *period != "" {
		length.months, length.length, err = events.ParsePeriod(*period)
	}
	if err != nil { // nobody but the projector writes here, what the fold accepted
		a.log.Error("plan or account in the catalog is not used", "subject", m.Subject, "revision", m.Sequence, "err", err)
	}
	return length, err == nil
}

func (a *accounts) publish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.use = a.reading // and goes on to be written, under the lock
}
