package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is one stored message. Sequence and Time are the stream's.
type Message struct {
	Subject  string
	Header   nats.Header
	Data     []byte
	Sequence uint64
	Time     time.Time
	// Pending counts the messages that stood behind this one when it was
	// delivered; 0 means the reader had caught up.
	Pending uint64
}

// Reader reads the messages of some subjects in stream order, without gaps,
// also over reconnects and server restarts. It keeps no place on the server:
// where to start is the caller's to know. It is for one goroutine.
type Reader struct {
	messages <-chan Message
	close    func()
}

// NewReader returns a reader of what a Log delivers on messages; close ends the
// deliveries and returns when there are none any more.
func NewReader(messages <-chan Message, close func()) *Reader {
	return &Reader{messages: messages, close: close}
}

// Next waits for the next message.
func (r *Reader) Next(ctx context.Context) (Message, error) {
	select {
	case m := <-r.messages:
		return m, nil
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	}
}

// within waits for the next message for no longer than d; ok is false when none
// has come.
func (r *Reader) within(ctx context.Context, d time.Duration) (m Message, ok bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case m := <-r.messages:
		return m, true, nil
	case <-timer.C:
		return Message{}, false, nil
	case <-ctx.Done():
		return Message{}, false, context.Cause(ctx)
	}
}

// Batch waits for one message and adds those that are already there, up to max.
func (r *Reader) Batch(ctx context.Context, max int) ([]Message, error) {
	first, err := r.Next(ctx)
	if err != nil {
		return nil, err
	}
	batch := []Message{first}
	for len(batch) < max {
		select {
		case m := <-r.messages:
			batch = append(batch, m)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// Messages is the channel that Next receives from, for a select of the
// caller's own. It is never closed.
func (r *Reader) Messages() <-chan Message { return r.messages }

// Close ends the reader and waits until nothing is delivered any more.
func (r *Reader) Close() { r.close() }
