package rater

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// keep publishes dead letters and returns when all are stored. One that is
// stored already is not stored again.
func (p *partition) keep(ctx context.Context, letters []events.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	all := make([]stream.Append, len(letters))
	for i, d := range letters {
		all[i] = p.deadLetter(d)
	}
	var errs []error
	var reused []stream.Append
	for i, stored := range p.deadLetters.AppendAll(ctx, all) {
		if !errors.Is(stored.Err, stream.ErrFenced) {
			errs = append(errs, stored.Err)
			continue
		}
		same, err := p.isStored(ctx, all[i].Subject, letters[i])
		if errs = append(errs, err); err == nil && !same {
			d := letters[i]
			all[i].Subject = events.ReusedDeadLetterSubject(p.number, d.Sequence, d.Index, d.StoredAt)
			reused = append(reused, all[i])
		}
	}
	for _, stored := range p.deadLetters.AppendAll(ctx, reused) {
		if !errors.Is(stored.Err, stream.ErrFenced) {
			errs = append(errs, stored.Err)
		}
	}
	return errors.Join(errs...)
}

// isStored reports whether the dead letter on a subject is d, and not one of a
// message that had its sequence before USAGE lost its end.
func (p *partition) isStored(ctx context.Context, subject string, d events.DeadLetter) (bool, error) {
	m, ok, err := p.deadLetters.Last(ctx, subject)
	if err != nil {
		return false, err
	}
	found, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
	return ok && err == nil && found.StoredAt.Equal(d.StoredAt), nil
}

// deadLetter encodes d. Where the original and the reason together exceed what
// one message may hold, the original is cut and the detail says so; USAGE has
// the whole.
func (p *partition) deadLetter(d events.DeadLetter) stream.Append {
	a := stream.Append{
		Subject: events.DeadLetterSubject(p.number, d.Sequence, d.Index),
		Header:  events.DeadLetterHeader(d), Data: d.Body, Fence: &stream.Fence{},
	}
	const fenceBytes = 128 // headers that the fence adds
	maxPayload := int(p.config.Broker.MaxPayload())
	excess := headerBytes(a.Header) + len(a.Data) + fenceBytes - maxPayload
	if excess <= 0 {
		return a
	}
	note := fmt.Sprintf(" (cut to fit one message; the original is at sequence %d of USAGE)", d.Sequence)
	d.Detail += note
	if excess += len(note); excess <= len(d.Body) {
		d.Body = d.Body[:len(d.Body)-excess]
	} else {
		d.Header, d.Body = nil, d.Body[:min(len(d.Body), maxPayload/2)]
	}
	a.Header, a.Data = events.DeadLetterHeader(d), d.Body
	return a
}

// headerBytes is the size of a header in a NATS message.
func headerBytes(header map[string][]string) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}
