// Package correction puts another charge, or none, in the place of what a usage
// event is charged, by a new entry of the ledger that names the old one.
//
// It decides nothing about credits: the fold does, and whether a correction stands
// is the fold's to say. All corrections of one event are on one subject, each
// appended behind the last: of two at once one is fenced off, looks again and
// answers by what is true then. It keeps no state.
package correction

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// Event is a usage event that was charged, by the entry of the ledger at First.
type Event struct {
	Account string
	First   events.LedgerPlace
	Debit   events.Debit
}

// Step is one correction of an event, and what the fold made of it.
type Step struct {
	events.Correction
	Place events.LedgerPlace
	past.Step
}

// Stands reports whether the fold applied the correction.
func (s *Step) Stands() bool { return s.Posting.Refused == "" }

// Did says what the correction did; it did nothing unless it stands.
func (s *Step) Did() *events.Corrected { return ledger.Corrected(&s.Correction, s.Posting) }

// History returns the corrections of e in the ledger's order, those among them
// that the fold refused too. Without any it costs one question to the ledger.
func History(ctx context.Context, l past.Ledger, e Event, progress past.Progress) ([]Step, error) {
	history, _, err := history(ctx, l, e, progress)
	return history, err
}

// history returns the sequence of the last message on the event's subject too.
func history(ctx context.Context, l past.Ledger, e Event, progress past.Progress) (all []Step, last uint64, err error) {
	subject := events.CorrectionSubject(events.Partition(e.Account, l.Partitions), e.Debit.Source, e.Debit.ID)
	var places []past.Place
	err = stream.Each(ctx, l.Broker.Log(events.StreamLedger), stream.From{}, func(m stream.Message) error {
		last = m.Sequence
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return fmt.Errorf("read ledger message %d: %w", m.Sequence, err)
		}
		for i, entry := range chunk.Entries {
			// An id that was charged again after the dedup horizon is another event.
			if c := entry.Correction; c != nil && entry.Account == e.Account && c.First.Sequence == e.First.Sequence && c.First.Index == e.First.Index {
				all = append(all, Step{Correction: *c, Place: events.LedgerPlace{Sequence: m.Sequence, Index: i, StoredAt: m.Time}})
				places = append(places, past.Place{Sequence: m.Sequence, Index: i})
			}
		}
		return nil
	}, subject)
	if err != nil {
		return nil, 0, fmt.Errorf("read the corrections of event %s of %s: %w", e.Debit.ID, e.Debit.Source, err)
	}
	steps, err := l.Steps(ctx, e.Account, places, progress)
	if err != nil {
		return nil, 0, fmt.Errorf("fold the corrections of event %s of %s: %w", e.Debit.ID, e.Debit.Source, err)
	}
	for i := range all {
		all[i].Step = steps[i]
	}
	return all, last, nil
}

// Standing is what an event is charged now.
type Standing struct {
	Event
	// Place is the entry that says so: the event's debit, or the last correction
	// that stands.
	Place   events.LedgerPlace
	Charge  *events.Debit // nil: the event is void
	History []Step

	// Last is the last message on the event's subject; 0 when there is none.
	Last uint64
}

// Stand returns what e is charged now. A correction that the fold refused does
// not count.
func Stand(ctx context.Context, l past.Ledger, e Event, progress past.Progress) (Standing, error) {
	s := Standing{Event: e, Place: e.First, Charge: &e.Debit}
	var err error
	if s.History, s.Last, err = history(ctx, l, e, progress); err != nil {
		return Standing{}, err
	}
	if step := s.latest(); step != nil {
		s.Place, s.Charge = step.Place, step.Now
	}
	return s, nil
}

// latest is the last correction that stands, nil when there is none.
func (s *Standing) latest() *Step {
	for i := len(s.History) - 1; i >= 0; i-- {
		if s.History[i].Stands() {
			return &s.History[i]
		}
	}
	return nil
}

// Charge says what an event is to be charged from here on, given what it is
// charged now; nil makes it void. What is equal to that already is not written.
type Charge func(ctx context.Context, s Standing) (*events.Debit, error)

// Void is the Charge of an event that is to be void.
func Void(context.Context, Standing) (*events.Debit, error) { return nil, nil }

// Decide appends an entry, alone in its message, on subject behind message last
// of that subject, and returns what the fold made of it. Its error matches
// stream.ErrFenced when the subject has moved on.
type Decide func(ctx context.Context, e events.Entry, subject string, last uint64) (events.Decision, error)

// Corrector corrects usage events. Both fields are required.
type Corrector struct {
	Ledger past.Ledger
	Decide Decide
}

// Result is what became of a correction: the event is charged what was asked
// for, by this correction or before it.
type Result struct {
	Outcome  events.Outcome // applied or unchanged
	Sequence uint64         // of the ledger's message that says what the event is charged
	Reason   string         // which that gives; empty where it is the debit
	// Corrected is what that correction did. Of an event that was never corrected
	// it says what it is charged.
	Corrected events.Corrected
	Charge    *events.Debit   // that stands from here on; nil: the event is void
	Balance   *events.Balance // nil when unchanged
}

// triesMax bounds how often a correction looks again because another came first.
const triesMax = 20

// ErrContended reports that so many correct an event at once that this one never
// came first. Nothing was written.
var ErrContended = errors.New("the event is being corrected by many at once")

// Correct makes what e is charged that which charge says, for a reason. It may be
// called again whatever became of it, and by many at once: what is so already is
// unchanged. When the fold refuses, the error is that of Decide.
func (c Corrector) Correct(ctx context.Context, e Event, reason string, charge Charge, progress past.Progress) (Result, error) {
	for range triesMax {
		s, err := Stand(ctx, c.Ledger, e, progress)
		if err != nil {
			return Result{}, err
		}
		now, err := charge(ctx, s)
		if err != nil {
			return Result{}, err
		}
		if Equal(s.Charge, now) {
			return s.unchanged(), nil
		}
		result, err := c.Put(ctx, s, now, reason)
		if !errors.Is(err, stream.ErrFenced) {
			return result, err
		}
	}
	return Result{}, fmt.Errorf("correct event %s of %s: %w", e.Debit.ID, e.Debit.Source, ErrContended)
}

// Put is Correct for whoever knows how the event stands, of which it asks nothing
// and needs no History. It answers stream.ErrFenced when the event was corrected
// since.
func (c Corrector) Put(ctx context.Context, s Standing, now *events.Debit, reason string) (Result, error) {
	correction := events.Correction{
		Source: s.Debit.Source, ID: s.Debit.ID, First: s.First, Corrects: s.Place, Was: s.Charge, Now: now, Reason: reason,
	}
	subject := events.CorrectionSubject(events.Partition(s.Account, c.Ledger.Partitions), correction.Source, correction.ID)
	d, err := c.Decide(ctx, events.Entry{Kind: events.EntryCorrection, Account: s.Account, Correction: &correction}, subject, s.Last)
	if err != nil {
		return Result{}, err
	}
	r := Result{Outcome: d.Outcome, Sequence: d.Sequence, Reason: reason, Charge: now, Balance: d.Balance}
	if d.Corrected != nil {
		r.Corrected = *d.Corrected
	}
	return r, nil
}

func (s *Standing) unchanged() Result {
	if step := s.latest(); step != nil {
		return Result{Outcome: events.Unchanged, Sequence: step.Place.Sequence, Reason: step.Reason, Corrected: *step.Did(), Charge: step.Now}
	}
	return Result{Outcome: events.Unchanged, Sequence: s.First.Sequence, Corrected: events.Corrected{Was: s.Debit.Amount, Now: s.Debit.Amount}, Charge: &s.Debit}
}
