package simulated

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Errors that a caller gets from a network that is not sound. After each of
// them nobody knows what has happened, as the contract of stream.Log says.
var (
	ErrTimeout      = errors.New("no answer in time")
	ErrDisconnected = errors.New("the connection was lost")
)

// Operation is something that a client asked of the server. Its effects happen
// one by one, by Perform, Mute or Lose; when it is Decided, Answer tells the
// caller. Fail tells the caller at any time that nobody knows.
type Operation struct {
	client *Client
	kind   string
	log    string
	key    string // what it is, beside client, kind and log

	// What is asked.
	sequence uint64
	subject  string
	from     stream.From
	subjects []string
	appends  []stream.Append
	effects  []func() error // of a call to another server than the broker

	// What came of it.
	begun    bool
	decided  bool
	state    stream.State
	message  stream.Message
	found    bool
	delivery *Delivery
	appended []stream.Appended
	err      error

	answered  bool // for the scheduler alone
	done      chan struct{}
	abandoned atomic.Bool
}

// The kinds of operations.
const (
	kindState  = "state"
	kindRead   = "read"
	kindGet    = "get"
	kindLast   = "last"
	kindAppend = "append"
	kindCall   = "call"
)

// Client returns who asks.
func (o *Operation) Client() *Client { return o.client }

// Log is the name of the stream it is about.
func (o *Operation) Log() string { return o.log }

// Writes reports whether it changes something.
func (o *Operation) Writes() bool { return o.kind == kindAppend || o.kind == kindCall }

// Asks reports whether it is a question, for whose answer its asker most likely
// does nothing else.
func (o *Operation) Asks() bool {
	return o.kind == kindState || o.kind == kindGet || o.kind == kindLast
}

// Begun reports whether some of its effects have happened.
func (o *Operation) Begun() bool { return o.begun }

// Reads reports whether it opens a reader.
func (o *Operation) Reads() bool { return o.kind == kindRead }

// Abandoned reports whether nobody waits for its answer any more: its caller's
// context ended. What it asks may still be on its way.
func (o *Operation) Abandoned() bool { return o.abandoned.Load() }

// Decided reports whether all its effects have happened, or never will.
func (o *Operation) Decided() bool { return o.decided }

// Next is the message that the next Perform appends; ok is false when the
// operation is decided or appends nothing.
func (o *Operation) Next() (a stream.Append, ok bool) {
	if o.decided || o.kind != kindAppend {
		return stream.Append{}, false
	}
	return o.appends[len(o.appended)], true
}

// Perform lets the next of its effects happen.
func (o *Operation) Perform() {
	o.begun = true
	if o.kind == kindCall {
		o.err, o.effects = o.effects[0](), o.effects[1:]
		o.decided = o.err != nil || len(o.effects) == 0
		return
	}
	if o.kind == kindAppend {
		var result stream.Appended
		result.Sequence, result.Err = o.client.network.Server.Append(o.log, o.appends[len(o.appended)])
		o.note(result)
		return
	}
	o.decided = true
	from, err := o.client.network.Server.stream(o.log)
	if err != nil {
		o.err = err
		return
	}
	switch o.kind {
	case kindState:
		o.state = from.state(o.client.network.Server.tick())
	case kindGet:
		o.message, o.found = from.get(o.sequence)
	case kindLast:
		o.message, o.found = from.newest(o.subject)
	case kindRead:
		o.delivery = o.client.network.deliver(o, from)
	}
}

// Mute lets the next of its effects happen and loses the acknowledgement. Of a
// call, the effects behind it never happen.
func (o *Operation) Mute() {
	o.Perform()
	if o.kind == kindAppend {
		o.appended[len(o.appended)-1] = stream.Appended{Err: o.unknown(len(o.appended)-1, ErrTimeout)}
		return
	}
	o.decided, o.err = true, ErrTimeout
}

// Lose lets the next of its effects never happen, nor what follows from it.
func (o *Operation) Lose() {
	if o.kind == kindAppend {
		o.note(stream.Appended{Err: o.unknown(len(o.appended), ErrTimeout)})
		return
	}
	o.decided, o.err = true, ErrTimeout
}

func (o *Operation) note(r stream.Appended) {
	o.appended = append(o.appended, r)
	o.decided = len(o.appended) == len(o.appends)
}

func (o *Operation) unknown(i int, err error) error {
	return fmt.Errorf("append to %s: %w", o.appends[i].Subject, err)
}

// Answer ends a decided operation and tells its caller, if there still is one.
func (o *Operation) Answer() {
	if !o.decided {
		panic("an answer to an operation that is not decided")
	}
	if d := o.delivery; d != nil {
		if d.open = !o.Abandoned() && o.err == nil && !o.client.dead.Load(); !d.open {
			d.close()
		}
	}
	o.end()
}

// Fail ends an operation as it stands: its caller learns err of everything not
// decided. What has happened stays.
func (o *Operation) Fail(err error) {
	for i := len(o.appended); i < len(o.appends); i++ {
		o.appended = append(o.appended, stream.Appended{Err: o.unknown(i, err)})
	}
	if o.kind != kindAppend && !o.decided {
		o.err = err
	}
	o.decided = true
	o.Answer()
}

func (o *Operation) end() {
	if o.answered {
		panic("an operation is answered twice")
	}
	o.answered = true
	o.client.network.remove(o)
	close(o.done)
}

// compare orders operations by what they are.
func (o *Operation) compare(p *Operation) int {
	order := cmp.Or(
		cmp.Compare(o.client.name, p.client.name),
		cmp.Compare(o.kind, p.kind),
		cmp.Compare(o.log, p.log),
		cmp.Compare(o.key, p.key),
		cmp.Compare(len(o.appended), len(p.appended)),
		cmp.Compare(len(o.appends), len(p.appends)),
	)
	for i := 0; order == 0 && i < len(o.appends); i++ {
		order = bytes.Compare(o.appends[i].Data, p.appends[i].Data)
	}
	return order
}

// String says what is asked and what has come of it.
func (o *Operation) String() string {
	text := fmt.Sprintf("%s %s %s %s", o.client.name, o.kind, o.log, o.key)
	for _, r := range o.appended {
		if r.Err != nil {
			text += " !" + r.Err.Error()
		} else {
			text += fmt.Sprintf(" =%d", r.Sequence)
		}
	}
	switch {
	case o.err != nil:
		text += " !" + o.err.Error()
	case o.found:
		text += fmt.Sprintf(" =%d", o.message.Sequence)
	}
	if o.Abandoned() {
		text += " (abandoned)"
	}
	return text
}

// wait returns when the operation is answered or ctx ends.
func (o *Operation) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		o.abandoned.Store(true)
		return expired(ctx, o.kind+" "+o.log)
	}
}
