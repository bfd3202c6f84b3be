package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// appendWindow bounds the messages of one AppendAll that wait for their ack,
// ackTimeout the wait.
const (
	appendWindow = 256
	ackTimeout   = 5 * time.Second
)

// broker is NATS.
type broker struct {
	nc *nats.Conn
	js jetstream.JetStream

	mu   sync.Mutex
	logs map[string]*natsLog
	lost map[chan struct{}]struct{} // of those who asked for interruptions
}

// NewBroker returns the streams behind a connection, which stays the caller's
// and should reconnect for ever.
func NewBroker(nc *nats.Conn) (Broker, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &broker{nc: nc, js: js, logs: map[string]*natsLog{}, lost: map[chan struct{}]struct{}{}}, nil
}

func (b *broker) Log(name string) Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.logs[name]
	if !ok {
		l = &natsLog{broker: b, name: name}
		b.logs[name] = l
	}
	return l
}

func (b *broker) Interrupted() (<-chan struct{}, func()) {
	statuses := b.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	lost := make(chan struct{}, 1)
	b.mu.Lock()
	b.lost[lost] = struct{}{}
	b.mu.Unlock()
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		for range statuses {
			signal(lost)
		}
	})
	return lost, func() {
		b.nc.RemoveStatusListener(statuses)
		forwarding.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.lost, lost)
	}
}

// interrupt tells everybody that what was read may be gone, as when the
// connection is lost.
func (b *broker) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for lost := range b.lost {
		signal(lost)
	}
}

// signal leaves one signal waiting.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}

func (b *broker) Reply(subject string, body []byte) error {
	if err := b.nc.Publish(subject, body); err != nil {
		return fmt.Errorf("reply on %s: %w", subject, err)
	}
	return nil
}

func (b *broker) MaxPayload() int64 { return b.nc.MaxPayload() }

// natsLog is a stream of a NATS server or cluster.
type natsLog struct {
	broker *broker
	name   string

	mu     sync.Mutex
	opened jetstream.Stream // nil until the stream was found; never refreshed
	async  jetstream.JetStream
}

func (l *natsLog) Name() string { return l.name }

// handle returns the stream's handle. It is opened once: a handle knows no more
// than the stream's name and settings. Of these it is made to forget that the
// stream lets replicas answer: one that lags would give an older value.
func (l *natsLog) handle(ctx context.Context) (jetstream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		s, err := l.broker.js.Stream(ctx, l.name)
		if err != nil {
			return nil, fmt.Errorf("open stream %s: %w", l.name, err)
		}
		s.CachedInfo().Config.AllowDirect = false
		l.opened = s
	}
	return l.opened, nil
}

// State asks over a handle of its own: asking again over one that goroutines
// share writes to it.
func (l *natsLog) State(ctx context.Context) (State, error) {
	s, err := l.broker.js.Stream(ctx, l.name)
	if err != nil {
		return State{}, fmt.Errorf("look at stream %s: %w", l.name, err)
	}
	info := s.CachedInfo()
	return State{
		First: info.State.FirstSeq, Last: info.State.LastSeq, Messages: info.State.Msgs, Bytes: info.State.Bytes,
		LastAt: info.State.LastTime.UTC(), Created: info.Created.UTC(), Now: info.TimeStamp.UTC(),
	}, nil
}

func (l *natsLog) Get(ctx context.Context, sequence uint64) (Message, bool, error) {
	s, err := l.handle(ctx)
	if err != nil {
		return Message{}, false, err
	}
	raw, err := s.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, fmt.Errorf("read message %d of stream %s: %w", sequence, l.name, err)
	}
	return fromRaw(raw), true, nil
}

func (l *natsLog) Last(ctx context.Context, subject string) (Message, bool, error) {
	s, err := l.handle(ctx)
	if err != nil {
		return Message{}, false, err
	}
	raw, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, fmt.Errorf("read the last message on %s: %w", subject, err)
	}
	return fromRaw(raw), true, nil
}

func (l *natsLog) Append(ctx context.Context, a Append) (uint64, error) {
	ack, err := l.broker.js.PublishMsg(ctx, message(a), a.options()...)
	if err != nil {
		return 0, outcome(a, err)
	}
	return ack.Sequence, nil
}

func (l *natsLog) AppendAll(ctx context.Context, all []Append) []Appended {
	results := make([]Appended, len(all))
	publisher, err := l.publisher()
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	futures := make([]jetstream.PubAckFuture, len(all))
	land := func(i int) {
		if futures[i] != nil {
			results[i] = await(ctx, all[i], futures[i])
		}
	}
	for i, a := range all {
		if i >= appendWindow {
			land(i - appendWindow)
		}
		if futures[i], err = publisher.PublishMsgAsync(message(a), a.options()...); err != nil {
			results[i].Err = outcome(a, err)
		}
	}
	for i := max(0, len(all)-appendWindow); i < len(all); i++ {
		land(i)
	}
	return results
}

// publisher is the log's own, so that one log's unacknowledged messages never
// hold up another's.
func (l *natsLog) publisher() (jetstream.JetStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.async == nil {
		// The bound is the callers': each has its window.
		const callersMax = 1 << 10
		js, err := jetstream.New(l.broker.nc, jetstream.WithPublishAsyncTimeout(ackTimeout),
			jetstream.WithPublishAsyncMaxPending(callersMax*appendWindow))
		if err != nil {
			return nil, fmt.Errorf("open JetStream to append to %s: %w", l.name, err)
		}
		l.async = js
	}
	return l.async, nil
}

// await waits for the ack of a.
func await(ctx context.Context, a Append, future jetstream.PubAckFuture) Appended {
	select {
	case ack := <-future.Ok():
		return Appended{Sequence: ack.Sequence}
	case err := <-future.Err():
		return Appended{Err: outcome(a, err)}
	case <-ctx.Done():
		return Appended{Err: outcome(a, ctx.Err())}
	}
}

// message copies the header, because publishing adds to it.
func message(a Append) *nats.Msg {
	return &nats.Msg{Subject: a.Subject, Header: maps.Clone(a.Header), Data: a.Data}
}

// options never let the client publish again by itself: what it does not know
// it must not repeat.
func (a Append) options() []jetstream.PublishOpt {
	options := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if a.Fence == nil {
		return options
	}
	subject := a.Fence.Subject
	if subject == "" {
		subject = a.Subject
	}
	return append(options, jetstream.WithExpectLastSequenceForSubject(a.Fence.Sequence, subject))
}

func outcome(a Append, err error) error {
	if isFenced(err) {
		return ErrFenced
	}
	return fmt.Errorf("append to %s: %w", a.Subject, err)
}

func fromRaw(raw *jetstream.RawStreamMsg) Message {
	return Message{Subject: raw.Subject, Header: raw.Header, Data: raw.Data, Sequence: raw.Sequence, Time: raw.Time.UTC()}
}
