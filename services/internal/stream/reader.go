package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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

// A reader holds at most readerBytes that the server has delivered, and
// readerBuffer messages beside them. The bytes must be more than the largest
// message a server of ours takes (8 MiB): a larger one would never be delivered.
const (
	readerBuffer = 64
	readerBytes  = 9 << 20
)

func (l *natsLog) read(ctx context.Context, s jetstream.Stream, from From, subjects []string) (*Reader, error) {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: subjects}
	switch {
	case from.LastPerSubject:
		config.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	case !from.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Since
	case from.Sequence > 1:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Sequence
	}
	consumer, err := s.OrderedConsumer(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", l.name, err)
	}
	d := delivery{log: l, messages: make(chan Message, readerBuffer), done: make(chan struct{})}
	consume, err := consumer.Consume(d.deliver, jetstream.PullMaxBytes(readerBytes))
	if err != nil {
		return nil, fmt.Errorf("consume stream %s: %w", l.name, err)
	}
	return NewReader(d.messages, func() {
		close(d.done)
		consume.Stop()
		<-consume.Closed()
	}), nil
}

// delivery takes what the server sends.
type delivery struct {
	log      *natsLog
	messages chan Message
	done     chan struct{}

	last    Mark // delivered
	rewound bool // the stream no longer holds last: nothing more is delivered
}

// deliver waits when the buffer is full, which holds the server's deliveries
// back too.
func (d *delivery) deliver(m jetstream.Msg) {
	metadata, err := m.Metadata()
	if err != nil {
		return // not a delivery from a stream
	}
	message := Message{
		Subject: m.Subject(), Header: m.Headers(), Data: m.Data(),
		Sequence: metadata.Sequence.Stream, Time: metadata.Timestamp.UTC(), Pending: metadata.NumPending,
	}
	// The client has made its consumer anew behind the last message. Where the
	// server lost that, and gave its sequence to another, messages in front of
	// this one would never be read.
	if metadata.Sequence.Consumer == 1 && d.last.Sequence > 0 && !d.rewound && !d.holds() {
		d.rewound = true
		d.log.broker.interrupt()
	}
	if d.rewound {
		return
	}
	select {
	case d.messages <- message:
		d.last = MarkOf(message)
	case <-d.done:
	}
}

// holds reports whether the stream is known to hold the last message delivered.
func (d *delivery) holds() bool {
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	return d.last.Verify(ctx, d.log) == nil
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
