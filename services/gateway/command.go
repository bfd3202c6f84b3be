package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Decided is what the fold made of a command about an account.
type Decided struct {
	Outcome  events.Outcome  `json:"outcome" doc:"applied, or unchanged when the same was done before."`
	Sequence uint64          `json:"sequence" doc:"Of the command in the ledger."`
	Balance  *events.Balance `json:"balance,omitempty" doc:"The account's, after it."`
}

func decided(d events.Decision) Decided {
	return Decided{Outcome: d.Outcome, Sequence: d.Sequence, Balance: d.Balance}
}

// createdStatus is the status of what creates something: 201 the first time,
// 200 when it was there already.
func createdStatus(o events.Outcome) int {
	if o == events.Unchanged {
		return http.StatusOK
	}
	return http.StatusCreated
}

// checkAccount finds what is wrong with the account that a body names; what says
// whose it is to be.
func checkAccount(what, account string) []Fault {
	if events.ValidAccount(account) {
		return nil
	}
	return []Fault{{Path: "/account", Code: "invalid", Detail: fmt.Sprintf("found %q; expected %s: 1 to 64 of A–Z a–z 0–9 _ -", clip(account), what)}}
}

// decide appends a command to the ledger and returns what the fold made of it,
// unless it refused it: that is the error. Commands about an account go to its
// partition, others to all.
func (g *Gateway) decide(ctx context.Context, e events.Entry) (events.Decision, error) {
	if err := g.online(); err != nil {
		return events.Decision{}, err
	}
	subject := events.BroadcastSubject()
	if e.Account != "" {
		subject = events.LedgerSubject(events.Partition(e.Account, g.Streams.Partitions), events.WriterCommand)
	}
	return g.append(ctx, e, subject, nil)
}

// decideBehind is decide for a correction: it appends behind message last of the
// subject, and answers stream.ErrFenced when the subject has moved on.
func (g *Gateway) decideBehind(ctx context.Context, e events.Entry, subject string, last uint64) (events.Decision, error) {
	if err := g.online(); err != nil {
		return events.Decision{}, err
	}
	return g.append(ctx, e, subject, &stream.Fence{Sequence: last})
}

func (g *Gateway) append(ctx context.Context, e events.Entry, subject string, fence *stream.Fence) (events.Decision, error) {
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{e}})
	if err != nil {
		return events.Decision{}, badCommand(err)
	}
	reply, decided := g.inbox.expect()
	defer g.inbox.forget(reply)
	appending, cancel := g.bounded(ctx)
	defer cancel()
	sequence, err := g.broker.Log(events.StreamLedger).Append(appending, stream.Append{
		Subject: subject, Header: nats.Header{events.HeaderReply: {reply}}, Data: body, Fence: fence,
	})
	switch {
	case errors.Is(err, stream.ErrFenced):
		return events.Decision{}, err
	case err != nil:
		g.Logger.Warn("command not acknowledged", "subject", subject, "err", err)
		return events.Decision{}, unavailable("the ledger did not acknowledge the command; it may be stored all the same, and repeating the same request is safe")
	}
	return g.await(ctx, decided, sequence)
}

func (g *Gateway) await(ctx context.Context, decided <-chan events.Decision, sequence uint64) (events.Decision, error) {
	timeout := time.NewTimer(g.DecisionTimeout)
	defer timeout.Stop()
	select {
	case d := <-decided:
		if d.Outcome == events.Refused {
			return d, refusal(d)
		}
		return d, nil
	case <-ctx.Done():
	case <-timeout.C:
	}
	p := newProblem(http.StatusGatewayTimeout,
		"the command is stored at ledger sequence %d and will be decided; its answer is not known yet. Repeating the same request is safe", sequence)
	p.LedgerSequence = sequence
	return events.Decision{}, p.with("Retry-After", "1")
}

// refusal makes a problem of the fold's no.
func refusal(d events.Decision) *Problem {
	status := http.StatusUnprocessableEntity
	switch d.Code {
	case events.RefusedInsufficient:
		return insufficient(d)
	case events.RefusedConflict, events.RefusedAlreadyVoid, events.RefusedSpent, events.RefusedTooMany,
		events.RefusedCaptured, events.RefusedReleased, events.RefusedExpired, events.RefusedAnswered:
		status = http.StatusConflict
	case events.RefusedNotFound:
		status = http.StatusNotFound
	}
	p := newProblem(status, "%s", d.Detail)
	p.Errors = []Fault{{Code: d.Code, Detail: d.Detail}}
	p.LedgerSequence = d.Sequence
	return p
}

// badCommand makes a problem of content that the ledger would not take.
func badCommand(err error) error {
	var p *events.Problem
	if errors.As(err, &p) {
		return invalid("the ledger does not take this", Fault{Path: p.Path, Code: p.Code, Detail: p.Detail})
	}
	return err
}
