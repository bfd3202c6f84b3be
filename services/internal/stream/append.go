package stream

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrFenced reports that a fenced append wrote nothing because the subject's
// last message is not the one expected: somebody else has written since.
var ErrFenced = errors.New("fenced: the subject has moved on")

// isFenced reports whether err is the server's answer to an expected sequence
// that is not the last.
func isFenced(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
