package rater

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// What one message may hold, in bytes: headerMax is the server's limit of a
// header, of which the fence takes no more than fenceBytes; detailMax is kept
// of a detail where the header would be larger.
const (
	headerMax  = 1<<16 - 1
	fenceBytes = 256
	detailMax  = 4 << 10
)

// deadLetter encodes d. Where the original and the reason together exceed what
// one message may hold, the original is cut and the detail says so; USAGE has
// the whole.
func (p *partition) deadLetter(d events.DeadLetter) stream.Append {
	header, payload := events.DeadLetterHeader(d), int(p.config.Broker.MaxPayload())-fenceBytes
	if size := headerBytes(header); size > headerMax-fenceBytes || size+len(d.Body) > payload {
		header, d.Body = cut(d, payload)
	}
	return stream.Append{
		Subject: events.DeadLetterSubject(p.number, d.Sequence, d.Index), Header: header, Data: d.Body, Fence: &stream.Fence{},
	}
}

// cut returns what fits into payload bytes of d: the header without that of the
// original when it is too large itself, and the beginning of the body.
func cut(d events.DeadLetter, payload int) (header map[string][]string, body []byte) {
	note := fmt.Sprintf(" (cut to fit one message; the original is at sequence %d of USAGE)", d.Sequence)
	whole := d.Detail
	d.Detail = whole + note
	header = events.DeadLetterHeader(d)
	if headerBytes(header) > min(headerMax-fenceBytes, payload/2) {
		d.Header = nil
		d.Detail = strings.ToValidUTF8(whole[:min(len(whole), detailMax)], "") + note
		header = events.DeadLetterHeader(d)
	}
	return header, d.Body[:max(0, min(len(d.Body), payload-headerBytes(header)))]
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
