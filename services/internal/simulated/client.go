package simulated

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Client is one service's connection. It is a stream.Broker.
type Client struct {
	network *Network
	name    string
	dead    atomic.Bool

	mu          sync.Mutex
	logs        map[string]*log
	interrupted map[chan struct{}]struct{}
}

var _ stream.Broker = (*Client)(nil)

// Name returns what Connect was given.
func (c *Client) Name() string { return c.name }

// Log implements stream.Broker.
func (c *Client) Log(name string) stream.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.logs[name]
	if !ok {
		l = &log{client: c, name: name}
		c.logs[name] = l
	}
	return l
}

// Interrupted implements stream.Broker.
func (c *Client) Interrupted() (<-chan struct{}, func()) {
	lost := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted[lost] = struct{}{}
	return lost, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.interrupted, lost)
	}
}

// Reply implements stream.Broker.
func (c *Client) Reply(subject string, body []byte) error {
	if c.dead.Load() {
		return fmt.Errorf("reply on %s: %w", subject, ErrDisconnected)
	}
	c.network.reply(Reply{Client: c.name, Subject: subject, Body: bytes.Clone(body)})
	return nil
}

// Call asks something of another server than the broker, which answers when all
// effects have happened, or at the first that returns an error. It is subject
// to everything that befalls what is asked of the broker.
func (c *Client) Call(ctx context.Context, server, what string, effects ...func() error) error {
	l := &log{client: c, name: server}
	return l.ask(ctx, &Operation{kind: kindCall, key: what, effects: effects})
}

// MaxPayload implements stream.Broker.
func (c *Client) MaxPayload() int64 { return c.network.Server.MaxPayload }

// Interrupt tells everyone who asked for it that the connection was lost. What
// is under way stays so.
func (c *Client) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for lost := range c.interrupted {
		select {
		case lost <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// Kill ends the connection for good, as kill -9 of its process does: whatever
// the client still tries fails and changes nothing. What it asked before may
// still be on its way.
func (c *Client) Kill() {
	c.dead.Store(true)
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.network.deliveries = slices.DeleteFunc(c.network.deliveries, func(d *Delivery) bool { return d.client == c })
}

// log is a stream as a client sees it.
type log struct {
	client *Client
	name   string
}

func (l *log) Name() string { return l.name }

// ask waits until an operation is answered.
func (l *log) ask(ctx context.Context, o *Operation) error {
	o.client, o.log, o.done = l.client, l.name, make(chan struct{})
	if ctx.Err() != nil {
		return expired(ctx, o.kind+" "+o.log)
	}
	if l.client.dead.Load() {
		return fmt.Errorf("%s %s: %w", o.kind, o.log, ErrDisconnected)
	}
	l.client.network.submit(o)
	return o.wait(ctx)
}

func (l *log) State(ctx context.Context) (stream.State, error) {
	o := &Operation{kind: kindState}
	if err := l.ask(ctx, o); err != nil {
		return stream.State{}, err
	}
	return o.state, nil
}

func (l *log) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	o := &Operation{kind: kindRead, from: from, subjects: slices.Clone(subjects)}
	o.key = fmt.Sprintf("from %s of %s", place(from), strings.Join(subjects, " "))
	if err := l.ask(ctx, o); err != nil {
		return nil, err
	}
	return stream.NewReader(o.delivery.messages, o.delivery.close), nil
}

func (l *log) Get(ctx context.Context, sequence uint64) (stream.Message, bool, error) {
	o := &Operation{kind: kindGet, sequence: sequence, key: fmt.Sprint(sequence)}
	if err := l.ask(ctx, o); err != nil {
		return stream.Message{}, false, err
	}
	return o.message, o.found, nil
}

func (l *log) Last(ctx context.Context, subject string) (stream.Message, bool, error) {
	o := &Operation{kind: kindLast, subject: subject, key: subject}
	if err := l.ask(ctx, o); err != nil {
		return stream.Message{}, false, err
	}
	return o.message, o.found, nil
}

func (l *log) Append(ctx context.Context, a stream.Append) (uint64, error) {
	appended := l.AppendAll(ctx, []stream.Append{a})
	return appended[0].Sequence, appended[0].Err
}

func (l *log) AppendAll(ctx context.Context, all []stream.Append) []stream.Appended {
	if len(all) == 0 {
		return nil
	}
	o := &Operation{kind: kindAppend, key: describe(all)}
	for _, a := range all {
		a.Header, a.Data = maps.Clone(a.Header), bytes.Clone(a.Data) // the caller's again when it stops waiting
		o.appends = append(o.appends, a)
	}
	if err := l.ask(ctx, o); err != nil {
		failed := make([]stream.Appended, len(all))
		for i := range failed {
			failed[i].Err = fmt.Errorf("append to %s: %w", all[i].Subject, err)
		}
		return failed
	}
	return o.appended
}

// place names where a reader begins.
func place(from stream.From) string {
	switch {
	case from.LastPerSubject:
		return "the newest"
	case !from.Since.IsZero():
		return from.Since.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(from.Sequence)
}

// describe names what is to be appended.
func describe(all []stream.Append) string {
	var text strings.Builder
	for i, a := range all {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(a.Subject)
		if a.Fence != nil {
			fmt.Fprintf(&text, "@%d", a.Fence.Sequence)
		}
	}
	return text.String()
}
