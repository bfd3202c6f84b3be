// Package explain tells what became of one usage event, and why: what it cost,
// by which rule and arithmetic, from which grants, with what left; or why it was
// refused; or that it is still on its way; and what was corrected later.
//
// What it tells of a charge is the ledger's: ClickHouse says where the debit
// stands, the LEDGER message there says what it is. Where ClickHouse is behind,
// or says something else, the ledger is read and folded instead. It decides and
// writes nothing.
package explain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Status says what became of a usage event.
type Status string

// What becomes of a usage event.
const (
	Charged Status = "charged"
	// Void is an event that was charged, and is no more.
	Void Status = "void"
	// NotCharged is a debit that the fold refused: it would have overflowed a
	// total of the account.
	NotCharged Status = "not_charged"
	Refused    Status = "refused" // a dead letter
	Pending    Status = "pending" // stored, and not rated yet
)

// Explanation is what became of one usage event.
type Explanation struct {
	Status Status `json:"status" doc:"charged, void, not_charged, refused or pending."`
	// Event is the usage event as it came; of a refused one, what of it could be
	// read.
	Event  Explained `json:"event"`
	Charge *Charge   `json:"charge,omitempty" doc:"What it cost when it came, and why."`
	// Corrections came later, in the order of the ledger; ChargedNow is what the
	// event is charged after them.
	Corrections []Correction    `json:"corrections,omitempty" doc:"What was corrected later, in order."`
	ChargedNow  *events.Credits `json:"charged_now,omitempty" doc:"After all corrections; absent without any."`
	DeadLetter  *Refusal        `json:"deadletter,omitempty" doc:"Why it was refused, and how to send it again."`
	Waiting     *Waiting        `json:"pending,omitempty" doc:"Where it waits to be rated."`

	charged correction.Event // what Charge tells of
}

// Charged returns the event that was charged, and its debit; ok is false when it
// was not.
func (e *Explanation) Charged() (event correction.Event, ok bool) {
	return e.charged, e.Status == Charged || e.Status == Void
}

// Explained is a usage event, and where it stands in stream USAGE.
type Explained struct {
	Source  string           `json:"source"`
	ID      string           `json:"id"`
	Account string           `json:"account,omitzero"`
	Time    time.Time        `json:"time,omitzero"`
	Data    events.UsageData `json:"data"`
	Usage   events.Position  `json:"usage"`
}

func eventOf(u events.Usage, at events.Position) Explained {
	return Explained{Source: u.Source, ID: u.ID, Account: u.Account, Time: u.Time, Data: u.Data, Usage: at}
}

// Cost is what a usage event costs, and why.
type Cost struct {
	Amount  events.Credits `json:"amount"`
	Card    string         `json:"card"`
	Version int            `json:"version"`
	Rule    string         `json:"rule"`
	// Definition is the rule as the card has it; nil while the catalogue cannot
	// be read.
	Definition *events.Rule `json:"definition,omitempty"`
	// Arithmetic is how Amount came about, as a person would write it, and Terms
	// the summands of it, when there are several.
	Arithmetic string          `json:"arithmetic"`
	Terms      []string        `json:"terms,omitempty"`
	Rounding   events.Rounding `json:"rounding,omitzero" doc:"The card's rule, applied once."`
	// Tiers are the counters that it moved: what the account had used before in
	// its billing period decided the tier.
	Tiers []events.Tier `json:"tiers,omitempty"`
}

// Charge is what a usage event cost when it came, and what paid it.
type Charge struct {
	Cost

	Ledger Place `json:"ledger"`
	// Draws are the grants it drew from, in order, and what each had left.
	Draws []analytics.Draw `json:"draws,omitempty"`
	// Uncovered is what no grant covered: it became overage.
	Uncovered events.Credits     `json:"uncovered"`
	Before    analytics.Standing `json:"before"`
	After     analytics.Standing `json:"after"`
	// Refused is the code for which the fold charged nothing.
	Refused string `json:"refused,omitzero"`
}

// Place is where a debit or a correction stands in the ledger.
type Place struct {
	Sequence   uint64    `json:"sequence"`       // of the LEDGER message
	Index      int       `json:"index,omitzero"` // of the entry in it
	RecordedAt time.Time `json:"recorded_at"`
	Posting    uint64    `json:"posting"` // its number among the account's
}

// Waiting is where a usage event waits.
type Waiting struct {
	Partition int `json:"partition"`
	// Settled is the last message of USAGE that the partition's rater is through
	// with, Behind how many of the partition's events wait before this one.
	Settled uint64 `json:"settled"`
	Behind  int    `json:"behind"`
}

// Question names a usage event. Account is optional: it narrows the search.
type Question struct{ Source, ID, Account string }

// NotFoundError reports that no such event was found, and where it was looked
// for.
type NotFoundError struct {
	Question
	Through     uint64 // of LEDGER
	DeadLetters uint64 // the newest that were looked at
	Pending     int    // events of USAGE that wait
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no event %q of source %q: looked through every charge up to ledger sequence %d, the newest %d dead letters and %d events that wait to be rated%s",
		e.ID, e.Source, e.Through, e.DeadLetters, e.Pending, ofAccount(e.Account))
}

func ofAccount(account string) string {
	if account == "" {
		return ""
	}
	return "; of charges and waiting events, those of the partition of account " + account
}

// ErrNeedsAccount reports that ClickHouse does not answer, without which an
// event is looked for in the ledger of one account only.
var ErrNeedsAccount = errors.New("charges are looked up in ClickHouse, which does not answer; name the account as well to look through its part of the ledger instead")

// Analytics says where debits stand. It is what analytics.DB offers.
type Analytics interface {
	// Explain returns the posting of a usage event's debit and the account's
	// balance before it, or analytics.ErrNotFound.
	Explain(ctx context.Context, source, id string) (analytics.Charge, error)
	// ProjectedThrough is the last LEDGER message that ClickHouse holds.
	ProjectedThrough(ctx context.Context) (uint64, error)
}

// Explainer answers questions. Ledger is required.
type Explainer struct {
	Ledger    past.Ledger
	Analytics Analytics // nil: there is no ClickHouse
	Logger    *slog.Logger
}

// Explain answers q. Its error is a *NotFoundError when the event is nowhere,
// and matches ErrNeedsAccount when too little answers to say so.
func (x Explainer) Explain(ctx context.Context, q Question, progress past.Progress) (*Explanation, error) {
	e, err := x.Find(ctx, q, progress)
	if err != nil {
		return nil, err
	}
	return e, x.correct(ctx, e, progress)
}

// Find answers q as Explain does, but for what was corrected later.
func (x Explainer) Find(ctx context.Context, q Question, progress past.Progress) (*Explanation, error) {
	known, down := x.lookUp(ctx, q)
	if known != nil {
		found, err := x.known(ctx, q, *known, progress)
		if !errors.Is(err, errDisagrees) {
			return found, err
		}
		x.Logger.Error("charge of ClickHouse is not in the ledger", "account", known.Posting.Account, "seq", known.Posting.Sequence, "event_id", q.ID)
		q.Account, down = known.Posting.Account, err
	}
	// What waits is looked at first: what is not among it was settled before, and
	// is in the ledger or among the dead letters by now.
	waiting, waits, err := x.pending(ctx, q)
	if err != nil || waiting != nil {
		return waiting, err
	}
	missing := &NotFoundError{Question: q, Pending: waits}
	if down == nil || q.Account != "" {
		found, err := x.inLedger(ctx, q, down == nil, missing, progress)
		if err != nil || found != nil {
			return found, err
		}
	}
	dead, looked, err := x.deadLetter(ctx, q)
	if missing.DeadLetters = looked; err != nil || dead != nil {
		return dead, err
	}
	if down != nil && q.Account == "" {
		return nil, fmt.Errorf("%w: %w", ErrNeedsAccount, down)
	}
	return nil, missing
}

var (
	errNoClickHouse = errors.New("there is no ClickHouse")
	errDisagrees    = errors.New("the ledger does not hold what ClickHouse has")
)

// lookUp asks ClickHouse; nil when it does not know the event. The error says
// that it does not answer.
func (x Explainer) lookUp(ctx context.Context, q Question) (*analytics.Charge, error) {
	if x.Analytics == nil {
		return nil, errNoClickHouse
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	c, err := x.Analytics.Explain(ctx, q.Source, q.ID)
	switch {
	case err == nil && (q.Account == "" || c.Posting.Account == q.Account):
		return &c, nil
	case err == nil, errors.Is(err, analytics.ErrNotFound):
		return nil, nil
	}
	x.Logger.Warn("charge not looked up", "err", err)
	return nil, err
}

const lookUpTime = 10 * time.Second

// known explains the charge that ClickHouse told of, if the ledger has it there;
// if not it answers errDisagrees.
func (x Explainer) known(ctx context.Context, q Question, c analytics.Charge, progress past.Progress) (*Explanation, error) {
	m, ok, err := x.Ledger.Broker.Log(events.StreamLedger).Get(ctx, c.Posting.Sequence)
	if err != nil {
		return nil, err
	}
	entry, held := entryAt(m, ok, int(c.Posting.Index))
	if !held || !past.Charges(entry, q.Source, q.ID) || entry.Account != c.Posting.Account {
		return nil, errDisagrees
	}
	if p := c.Posting; p.Refused == "" && (p.Charged != entry.Debit.Amount || p.Drawn > p.Charged || !p.RecordedAt.Equal(m.Time.Truncate(time.Microsecond))) {
		x.Logger.Warn("charge differs in ClickHouse", "account", p.Account, "seq", p.Sequence, "event_id", q.ID)
		return x.folded(ctx, entry, m, int(p.Index), progress)
	}
	p := c.Posting
	return x.explain(ctx, entry, m.Time, Charge{
		Ledger: Place{Sequence: m.Sequence, Index: int(p.Index), Posting: p.Number},
		Draws:  p.Draws, Uncovered: p.Charged - p.Drawn, Before: c.Before, After: p.Balance, Refused: p.Refused,
	})
}

func entryAt(m stream.Message, ok bool, index int) (events.Entry, bool) {
	if !ok {
		return events.Entry{}, false
	}
	chunk, err := events.DecodeChunk(m.Data)
	if err != nil || index >= len(chunk.Entries) {
		return events.Entry{}, false
	}
	return chunk.Entries[index], true
}

// inLedger looks where ClickHouse cannot: behind what it holds, or, when it does
// not answer, in all of the account's partition.
func (x Explainer) inLedger(ctx context.Context, q Question, answers bool, missing *NotFoundError, progress past.Progress) (*Explanation, error) {
	after := uint64(0)
	if answers {
		through, err := x.Analytics.ProjectedThrough(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNeedsAccount, err)
		}
		after = through
		if c, err := x.lookUp(ctx, q); err == nil && c != nil { // came meanwhile
			return x.known(ctx, q, *c, progress)
		}
	}
	state, err := x.Ledger.Broker.Log(events.StreamLedger).State(ctx)
	if err != nil {
		return nil, err
	}
	missing.Through = state.Last
	m, index, ok, err := x.Ledger.Find(ctx, q.Account, after, q.Source, q.ID, progress)
	if err != nil || !ok {
		return nil, err
	}
	entry, _ := entryAt(m, true, index)
	if q.Account != "" && entry.Account != q.Account {
		return nil, nil
	}
	return x.folded(ctx, entry, m, index, progress)
}

// partitions are those that may hold the event.
func (x Explainer) partitions(q Question) []int {
	if q.Account != "" {
		return []int{events.Partition(q.Account, x.Ledger.Partitions)}
	}
	all := make([]int, x.Ledger.Partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// folded explains a debit by folding the account up to it.
func (x Explainer) folded(ctx context.Context, entry events.Entry, m stream.Message, index int, progress past.Progress) (*Explanation, error) {
	step, err := x.Ledger.Step(ctx, entry.Account, past.Place{Sequence: m.Sequence, Index: index}, progress)
	if err != nil {
		return nil, err
	}
	p, before := step.Posting, step.Before
	c := Charge{
		Ledger: Place{Sequence: m.Sequence, Index: index, Posting: p.Number}, Uncovered: p.Charged - p.Drawn, Refused: p.Refused,
		Before: standingBefore(before), After: standingAfter(p),
	}
	for _, d := range p.Draws {
		c.Draws = append(c.Draws, analytics.Draw{Grant: d.Grant, Amount: d.Amount, Left: d.Left})
	}
	return x.explain(ctx, entry, m.Time, c)
}

// explain completes c with what the ledger's own message says.
func (x Explainer) explain(ctx context.Context, entry events.Entry, recorded time.Time, c Charge) (*Explanation, error) {
	d := entry.Debit
	c.Ledger.RecordedAt = recorded.UTC()
	c.Cost = x.cost(ctx, d)
	status := Charged
	if c.Refused != "" {
		status = NotCharged
	}
	return &Explanation{
		Status: status, Event: eventOf(d.Usage(entry.Account), d.Position), Charge: &c,
		charged: correction.Event{
			Account: entry.Account, Debit: *d, First: events.LedgerPlace{Sequence: c.Ledger.Sequence, Index: c.Ledger.Index, StoredAt: c.Ledger.RecordedAt},
		},
	}, nil
}

func (x Explainer) cost(ctx context.Context, d *events.Debit) Cost {
	c := Cost{
		Amount: d.Amount, Card: d.Card, Version: d.Version, Rule: d.Rule,
		Arithmetic: d.Arithmetic, Terms: Terms(d.Arithmetic), Tiers: d.Tiers,
	}
	if card, ok := x.card(ctx, d.Card, d.Version); ok {
		c.Rounding, c.Definition = roundingOf(card), ruleOf(card, d.Rule)
	}
	return c
}
