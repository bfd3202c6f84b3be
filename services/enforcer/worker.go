package enforcer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// workerBuffer bounds the balances that wait for one worker.
const workerBuffer = 256

// account is what an account was told, as far as this enforcer knows.
type account struct {
	published policy.Published
	last      uint64 // SIGNALS sequence of its last signal: the fence
}

// heard returns a after the signal stored at sequence. What is not a signal
// moves the fence alone.
func (a account) heard(body []byte, sequence uint64) account {
	if s, err := events.DecodeSignal(body); err == nil {
		a.published = a.published.After(s)
	}
	a.last = max(a.last, sequence)
	return a
}

// worker tells some accounts, one after the other, what they are to be told.
type worker struct {
	config   *Config
	metrics  *metrics
	balances chan stream.Message
	accounts map[string]account
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case m := <-w.balances:
			w.observe(ctx, m)
		case <-ctx.Done():
			return
		}
	}
}

// observe publishes what a balance gives reason to. It returns when that is
// done or ctx ends.
func (w *worker) observe(ctx context.Context, m stream.Message) {
	var b events.Balance
	if err := json.Unmarshal(m.Data, &b); err != nil || b.Account != keyOf(m) {
		// A deletion, or not the projector's: which will write it again.
		w.config.Logger.Debug("passed over a value that is no balance", "key", keyOf(m), "seq", m.Sequence)
		return
	}
	for ctx.Err() == nil {
		signals := policy.React(w.accounts[b.Account].published, b)
		if len(signals) == 0 {
			return
		}
		for _, s := range signals {
			err := w.publish(ctx, s)
			if errors.Is(err, events.ErrInvalid) {
				w.config.Logger.Error("passed over a balance that makes no valid signal", "account", b.Account, "seq", b.Sequence, "err", err)
				return
			}
			if err != nil {
				w.catchUp(ctx, b.Account, err)
				break
			}
		}
	}
}

// publish appends s behind the account's last signal.
func (w *worker) publish(ctx context.Context, s events.Signal) error {
	header, body, err := events.EncodeSignal(s)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: events.SignalSubject(s.Kind, s.Account), Header: header, Data: body}
	a := w.accounts[s.Account]
	sequence, err := stream.AppendFenced(ctx, w.config.JetStream, m, everySignalOf(s.Account), a.last)
	if err != nil {
		return err
	}
	w.accounts[s.Account] = account{published: a.published.After(s), last: sequence}
	w.metrics.published(s, time.Now())
	return nil
}

// catchUp reads what an account was told after a publish that was fenced, by
// another enforcer or by an earlier publish of our own whose acknowledgement
// was lost, or whose outcome is unknown.
func (w *worker) catchUp(ctx context.Context, name string, cause error) {
	if errors.Is(cause, stream.ErrFenced) {
		w.metrics.fenced.Inc()
	} else if ctx.Err() == nil {
		w.config.Logger.Warn("a signal is tried again", "account", name, "err", cause)
		wait(ctx, retryDelay)
	}
	for ctx.Err() == nil {
		a, err := w.reread(ctx, name)
		if err == nil {
			w.accounts[name] = a
			return
		}
		if ctx.Err() == nil {
			w.config.Logger.Warn("an account's last signals are read again", "account", name, "err", err)
		}
		wait(ctx, retryDelay)
	}
}

// reread reads an account's last signals. The fence is read first: a signal
// that arrives in between makes the next publish fail.
func (w *worker) reread(ctx context.Context, name string) (account, error) {
	var found []stream.Message
	for _, subject := range []string{
		everySignalOf(name),
		events.SignalSubject(events.SignalLow, name),
		events.SignalSubject(events.SignalExhausted, name),
		events.SignalSubject(events.SignalRestored, name),
	} {
		m, ok, err := stream.Last(ctx, w.config.Streams.Signals, subject)
		if err != nil {
			return account{}, err
		}
		if ok {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return account{}, nil
	}
	fence := found[0].Sequence
	slices.SortFunc(found, func(a, b stream.Message) int { return cmp.Compare(a.Sequence, b.Sequence) })
	var a account
	for _, m := range found {
		a = a.heard(m.Data, m.Sequence)
	}
	a.last = fence
	return a, nil
}

// everySignalOf is the subject of all signals about an account.
func everySignalOf(name string) string { return events.SignalSubject("*", name) }
