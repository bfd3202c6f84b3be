package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrFenced reports that a fenced append wrote nothing because the subject's
// last message is not the one expected: somebody else has written since.
var ErrFenced = errors.New("fenced: the subject has moved on")

// AppendFenced appends m if the last message on check is the one at sequence
// last, where 0 means none; check is m's subject, or a wildcard for several.
// ErrFenced means nothing was written. Any other error leaves the outcome
// unknown: read the subject's end again before you go on.
func AppendFenced(ctx context.Context, js jetstream.JetStream, m *nats.Msg, check string, last uint64) (uint64, error) {
	ack, err := js.PublishMsg(ctx, m, jetstream.WithExpectLastSequenceForSubject(last, check), jetstream.WithRetryAttempts(0))
	if IsFenced(err) {
		return 0, ErrFenced
	}
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", m.Subject, err)
	}
	return ack.Sequence, nil
}

// IsFenced reports whether err is the server's answer to an expected sequence
// that is not the last.
func IsFenced(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// Last returns the newest message on a subject, which may be a wildcard;
// ok is false when there is none. It asks the stream's leader.
func Last(ctx context.Context, s jetstream.Stream, subject string) (m Message, ok bool, err error) {
	raw, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, fmt.Errorf("read the last message on %s: %w", subject, err)
	}
	return Message{Subject: raw.Subject, Header: raw.Header, Data: raw.Data, Sequence: raw.Sequence, Time: raw.Time.UTC()}, true, nil
}
