package explain

import (
	"context"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// Correction is one correction of a usage event.
type Correction struct {
	Ledger Place  `json:"ledger"`
	Reason string `json:"reason,omitzero"`
	// Charge is what the event costs from here on, and why, and Data what it is
	// taken to have been; nil when it becomes void.
	Charge *Cost             `json:"charge,omitempty" doc:"What it costs from here on, and why; absent when it becomes void."`
	Data   *events.UsageData `json:"data,omitempty" doc:"What the event is taken to have been."`
	// Refused is the code for which the fold changed nothing.
	Refused string `json:"refused,omitzero"`
	// Did is what the correction did to grants and overage; nil when refused.
	Did    *events.Corrected  `json:"did,omitempty"`
	Before analytics.Standing `json:"before"`
	After  analytics.Standing `json:"after"`
}

// correct adds to e what was corrected later.
func (x Explainer) correct(ctx context.Context, e *Explanation, progress past.Progress) error {
	event, ok := e.Charged()
	if !ok {
		return nil
	}
	history, err := correction.History(ctx, x.Ledger, event, progress)
	if err != nil {
		return err
	}
	for i := range history {
		e.Corrections = append(e.Corrections, x.correction(ctx, &history[i]))
	}
	if len(history) == 0 {
		return nil
	}
	now, void := event.Debit.Amount, false
	for i := range history {
		if step := &history[i]; step.Stands() {
			_, now = step.Charges()
			void = step.Now == nil
		}
	}
	e.ChargedNow = &now
	if void {
		e.Status = Void
	}
	return nil
}

func (x Explainer) correction(ctx context.Context, s *correction.Step) Correction {
	c := Correction{
		Ledger: Place{Sequence: s.Place.Sequence, Index: s.Place.Index, RecordedAt: s.Place.StoredAt.UTC(), Posting: s.Posting.Number},
		Reason: s.Reason, Refused: s.Posting.Refused, Before: standingBefore(s.Before), After: standingAfter(s.Posting),
	}
	if s.Stands() {
		c.Did = s.Did()
	}
	if s.Now != nil {
		cost := x.cost(ctx, s.Now)
		c.Charge, c.Data = &cost, &s.Now.Data
	}
	return c
}

func standingBefore(b events.Balance) analytics.Standing {
	return analytics.Standing{Available: b.Available, Held: b.Held, Overage: b.Overage, Remaining: b.Remaining}
}

func standingAfter(p ledger.Posting) analytics.Standing {
	return analytics.Standing{Available: p.Available, Held: p.Held, Overage: p.Overage, Remaining: p.Remaining}
}
