package stream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// A reader asks for pullMessages or pullBytes at a time, and holds no more than
// that, and readerBuffer messages of readerBytes beside them, or a single one
// that is larger.
const (
	readerBuffer = 64
	readerBytes  = 8 << 20
	pullMessages = 1000
	pullBytes    = 8 << 20
)

const (
	// consumerAgain is the pause after a consumer that could not be made, or gave
	// nothing.
	consumerAgain = 250 * time.Millisecond
	// roomAgain is the pause while what is buffered is large.
	roomAgain = 5 * time.Millisecond
	// consumerUnused is how long the server keeps one that nobody asks.
	consumerUnused = 5 * time.Minute
)

// delivery takes what the server sends. It tells messages of the stream from
// the server's own words by the subject for their ack, and not by their
// headers as the client library does: those are the publisher's, and one could
// make a message that is never delivered.
type delivery struct {
	log      *natsLog
	config   jetstream.ConsumerConfig // of the first consumer
	messages chan Message
	statuses chan nats.Status // receives when the connection has come back

	sizes   [readerBuffer]int // of the messages delivered last, in a ring
	count   int               // messages delivered
	last    Mark              // delivered
	rewound bool              // the stream no longer holds last: nothing more is delivered
}

func (l *natsLog) Read(ctx context.Context, from From, subjects ...string) (*Reader, error) {
	d := &delivery{log: l, config: consumerConfig(from, subjects), messages: make(chan Message, readerBuffer)}
	d.statuses = l.broker.nc.StatusChanged(nats.CONNECTED)
	first, err := d.consume(ctx)
	if err != nil {
		l.broker.nc.RemoveStatusListener(d.statuses)
		return nil, fmt.Errorf("read stream %s: %w", l.name, err)
	}
	reading, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.run(reading, first) })
	return NewReader(d.messages, func() {
		stop()
		running.Wait()
		l.broker.nc.RemoveStatusListener(d.statuses)
	}), nil
}

func consumerConfig(from From, subjects []string) jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		FilterSubjects: subjects, AckPolicy: jetstream.AckNonePolicy,
		InactiveThreshold: consumerUnused, Replicas: 1, MemoryStorage: true,
	}
	switch {
	case from.LastPerSubject:
		config.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if len(subjects) == 0 {
			config.FilterSubjects = []string{">"}
		}
	case !from.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Since
	case from.Sequence > 1:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Sequence
	}
	return config
}

// run delivers until ctx ends, with a new consumer behind what was delivered
// whenever one has failed.
func (d *delivery) run(ctx context.Context, c *consumer) {
	for {
		failed := true
		if c != nil {
			d.deliverAll(ctx, c)
			c.close()
			failed = c.given == 0
		}
		if failed && pause.For(ctx, consumerAgain) != nil || ctx.Err() != nil {
			return
		}
		c, _ = d.consume(ctx) // it stays nil, and is asked for again
	}
}

// deliverAll delivers until c fails or ctx ends.
func (d *delivery) deliverAll(ctx context.Context, c *consumer) {
	for c.ask() == nil {
		for c.asked() {
			m, ok := c.next(ctx, d.statuses)
			if !ok || !d.take(ctx, c, m) {
				return
			}
		}
	}
}

// take takes what the server sent; false means that c can no longer be used.
func (d *delivery) take(ctx context.Context, c *consumer, m *nats.Msg) bool {
	if !strings.HasPrefix(m.Reply, ackPrefix) {
		return c.told(m.Header.Get("Status"), m.Header.Get("Description"))
	}
	metadata, err := m.Metadata()
	if err != nil || !c.took(metadata.Sequence.Consumer, m.Size()) {
		return false
	}
	return d.deliver(ctx, metadata.Sequence.Consumer == 1, Message{
		Subject: m.Subject, Header: m.Header, Data: m.Data,
		Sequence: metadata.Sequence.Stream, Time: metadata.Timestamp.UTC(), Pending: metadata.NumPending,
	})
}

// deliver waits when the buffer is full, which holds the server's deliveries
// back too. It reports whether ctx goes on.
func (d *delivery) deliver(ctx context.Context, first bool, m Message) bool {
	// A consumer made anew begins behind the last message. Where the server lost
	// that, and gave its sequence to another, messages in front of this one would
	// never be read.
	if first && d.last.Sequence > 0 && !d.rewound && !d.holds(ctx) {
		d.rewound = true
		d.log.broker.interrupt()
	}
	if d.rewound {
		return ctx.Err() == nil
	}
	for !d.room(len(m.Data)) {
		if pause.For(ctx, roomAgain) != nil {
			return false
		}
	}
	select {
	case d.messages <- m:
		d.sizes[d.count%readerBuffer] = len(m.Data)
		d.count++
		d.last = MarkOf(m)
		return true
	case <-ctx.Done():
		return false
	}
}

// room reports whether a message of size bytes may be buffered beside those
// that nobody has taken yet.
func (d *delivery) room(size int) bool {
	waiting := len(d.messages)
	for i := range waiting {
		size += d.sizes[(d.count-1-i)%readerBuffer]
	}
	return waiting == 0 || size <= readerBytes
}

// holds reports whether the stream is known to hold the last message delivered.
func (d *delivery) holds(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return d.last.Verify(ctx, d.log) == nil
}

// consume makes a consumer of what is to be delivered next.
func (d *delivery) consume(ctx context.Context) (*consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	config := d.config
	if d.last.Sequence > 0 {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartSequencePolicy, nil
		config.OptStartSeq = d.last.Sequence + 1
	}
	// What the connection lost before now, this consumer has not.
	for len(d.statuses) > 0 {
		<-d.statuses
	}
	made, err := d.log.broker.js.CreateConsumer(ctx, d.log.name, config)
	if err != nil {
		return nil, fmt.Errorf("make a consumer: %w", err)
	}
	c := &consumer{
		nc: d.log.broker.nc, place: d.log.name + "." + made.CachedInfo().Name,
		inbox: d.log.broker.nc.NewInbox(), sent: make(chan *nats.Msg, pullMessages+sentBesides),
	}
	if c.subscription, err = c.nc.ChanSubscribe(c.inbox, c.sent); err != nil {
		return nil, fmt.Errorf("subscribe to a consumer: %w", err)
	}
	return c, nil
}
