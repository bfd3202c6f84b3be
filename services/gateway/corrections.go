package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

const (
	routeVoid  = "/v1/void"
	routeAmend = "/v1/amend"
)

// VoidEvent says which usage event is charged no more, and why.
type VoidEvent struct {
	Source  string `json:"source" maxLength:"512"`
	ID      string `json:"id" maxLength:"256"`
	Account string `json:"account,omitempty" doc:"Narrows the search; needed only while ClickHouse does not answer."`
	Reason  string `json:"reason" maxLength:"512" doc:"Why, for people."`
}

// AmendEvent says what a usage event is taken to have been, and why.
type AmendEvent struct {
	VoidEvent
	Data events.UsageData `json:"data" doc:"The whole data of the event anew; its account and time stay."`
}

type correctionInput struct{ Document }

type correctionOutput struct {
	Body CorrectionDecision
}

// CorrectionDecision is what became of a correction.
type CorrectionDecision struct {
	Account   string           `json:"account"`
	Source    string           `json:"source"`
	ID        string           `json:"id"`
	Reason    string           `json:"reason,omitzero" doc:"As given when it was corrected so."`
	Corrected events.Corrected `json:"corrected" doc:"What the event was charged and is charged now, the grants that were refilled, and what is lost because they ended since."`
	// Charge is what the event costs from here on, and why.
	Charge *CorrectedCharge `json:"charge,omitempty" doc:"What the event costs from here on, and why; absent when it is void."`
	Decided
}

// CorrectedCharge is how the charge of an event came about.
type CorrectedCharge struct {
	Card       string        `json:"card"`
	Version    int           `json:"version"`
	Rule       string        `json:"rule"`
	Arithmetic string        `json:"arithmetic"`
	Tiers      []events.Tier `json:"tiers,omitempty" doc:"The counters that it moves: what the account had used before the event came decided the tier."`
}

func (g *Gateway) correctionRoutes() {
	register(g, huma.Operation{
		OperationID: "void-event", Errors: endErrors, Method: http.MethodPost, Path: routeVoid, Tags: []string{"Corrections"},
		Summary: "Take back what a usage event was charged",
		Description: "By a new entry of the ledger; the grants it drew have their credits again, unless they ended since. The same again is unchanged. " +
			"404 when no such event was ever seen, 409 when it was not charged.",
		RequestBody: g.body(map[string]any{"application/json": VoidEvent{}}),
	}, g.voidEvent)
	register(g, huma.Operation{
		OperationID: "amend-event", Errors: endErrors, Method: http.MethodPost, Path: routeAmend, Tags: []string{"Corrections"},
		Summary: "Charge a usage event anew, with other data",
		Description: "By the rate card in force when it happened, by the account's plan and billing period, and by a new entry of the ledger. A lower charge gives the difference back to the grants that were drawn last, as by a void; a higher one draws it. " +
			"An event that is void is charged again. The same again is unchanged. 422 when no price fits the data; nothing is written then.",
		RequestBody: g.body(map[string]any{"application/json": AmendEvent{}}),
	}, g.amendEvent)
}

func (g *Gateway) voidEvent(ctx context.Context, in *correctionInput) (*correctionOutput, error) {
	body, err := decodeJSON[VoidEvent](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if faults := checkCorrection(body); len(faults) > 0 {
		return nil, invalid("the correction is not valid", faults...)
	}
	return g.correct(ctx, body, func(context.Context, correction.Event) (correction.Charge, error) { return correction.Void, nil })
}

// checkCorrection finds what is wrong with a correction whatever the event is.
func checkCorrection(v VoidEvent) (faults []Fault) {
	wrong := func(path, format string, args ...any) {
		faults = append(faults, Fault{Path: path, Code: "invalid", Detail: fmt.Sprintf(format, args...)})
	}
	if v.Source == "" || len(v.Source) > events.MaxSourceBytes {
		wrong("/source", "found %q; expected the event's source, at most %d bytes", clip(v.Source), events.MaxSourceBytes)
	}
	if v.ID == "" || len(v.ID) > events.MaxIDBytes {
		wrong("/id", "found %q; expected the event's id, at most %d bytes", clip(v.ID), events.MaxIDBytes)
	}
	if v.Account != "" && !events.ValidAccount(v.Account) {
		wrong("/account", "found %q; expected an account: 1 to 64 of A–Z a–z 0–9 _ -", clip(v.Account))
	}
	if strings.TrimSpace(v.Reason) == "" || len(v.Reason) > events.CorrectionReasonMax {
		wrong("/reason", "found %d bytes; expected why, for people, in 1 to %d bytes", len(v.Reason), events.CorrectionReasonMax)
	}
	return faults
}

// correct finds the event and makes what it is charged that which chargeOf says
// of it.
func (g *Gateway) correct(ctx context.Context, asked VoidEvent, chargeOf func(context.Context, correction.Event) (correction.Charge, error)) (*correctionOutput, error) {
	if err := g.online(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	event, err := g.chargedEvent(ctx, asked)
	if err != nil {
		return nil, err
	}
	charge, err := chargeOf(ctx, event)
	if err != nil {
		return nil, err
	}
	result, err := g.corrector().Correct(ctx, event, asked.Reason, charge, g.progress(ctx))
	var unratable *correction.UnratableError
	switch {
	case errors.As(err, &unratable):
		return nil, invalid("the event cannot be charged anew with this data; nothing was changed", Fault{Path: "/data", Code: unratable.Code, Detail: unratable.Reason})
	case errors.Is(err, correction.ErrContended):
		return nil, unavailable("%s; nothing was written", correction.ErrContended)
	case err != nil:
		return nil, err
	}
	if result.Balance == nil {
		if balance, err := g.balance(ctx, event.Account); err == nil { // the answer does without it
			result.Balance = &balance
		}
	}
	out := &correctionOutput{Body: CorrectionDecision{
		Account: event.Account, Source: event.Debit.Source, ID: event.Debit.ID, Reason: result.Reason, Corrected: result.Corrected,
		Decided: Decided{Outcome: result.Outcome, Sequence: result.Sequence, Balance: result.Balance},
	}}
	if c := result.Charge; c != nil {
		out.Body.Charge = &CorrectedCharge{Card: c.Card, Version: c.Version, Rule: c.Rule, Arithmetic: c.Arithmetic, Tiers: c.Tiers}
	}
	return out, nil
}

func (g *Gateway) corrector() correction.Corrector {
	return correction.Corrector{Ledger: g.ledger(), Decide: g.decideBehind}
}

// chargedEvent finds the event that is asked for. Its error says what became of
// one that was not charged, and what to do about it.
func (g *Gateway) chargedEvent(ctx context.Context, asked VoidEvent) (correction.Event, error) {
	q := explain.Question{Source: asked.Source, ID: asked.ID, Account: asked.Account}
	found, err := g.explainer().Find(ctx, q, g.progress(ctx))
	var missing *explain.NotFoundError
	if errors.As(err, &missing) && q.Account != "" {
		return correction.Event{}, g.notOf(ctx, q, missing)
	}
	if err != nil {
		return correction.Event{}, g.unexplained(err)
	}
	if event, ok := found.Charged(); ok {
		return event, nil
	}
	return correction.Event{}, notCharged(found)
}

// notOf is the problem of an event that is not found of the account that was
// named: another one may be charged for it.
func (g *Gateway) notOf(ctx context.Context, q explain.Question, missing *explain.NotFoundError) error {
	named := q.Account
	q.Account = ""
	if found, err := g.explainer().Find(ctx, q, nil); err == nil {
		if event, ok := found.Charged(); ok {
			return conflict("account", "the event is not of account %s: account %s is charged for it. An event counts once; name that account, or none", named, event.Account)
		}
	}
	return g.unexplained(missing)
}

func conflict(code, format string, args ...any) *Problem {
	p := newProblem(http.StatusConflict, format, args...)
	p.Errors = []Fault{{Code: code, Detail: p.Detail}}
	return p
}

// notCharged is the problem of an event that there is nothing to correct of.
func notCharged(e *explain.Explanation) *Problem {
	switch {
	case e.DeadLetter != nil:
		d := e.DeadLetter
		return conflict(d.Reason, "the event was refused and never charged (%s: %s); there is nothing to take back. To have it charged after all, send it again: %s", d.Reason, d.Detail, d.Replay)
	case e.Waiting != nil:
		return conflict(string(explain.Pending), "the event is not rated yet, %d events wait before it; correct it once it is charged", e.Waiting.Behind).
			with("Retry-After", fmt.Sprint(retryAfterSeconds))
	}
	return conflict(e.Charge.Refused, "the event was rated at %s credits and the ledger charged nothing for it (%s); there is nothing to take back", e.Charge.Amount, e.Charge.Refused)
}
