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
	for _, stored := range p.deadLetters.AppendAll(ctx, all) {
		if stored.Err != nil && !errors.Is(stored.Err, stream.ErrFenced) {
			errs = append(errs, stored.Err)
		}
	}
	return errors.Join(errs...)
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
