package enforcer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// itemsMax bounds what waits for one partition.
const itemsMax = 256

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

// partition tells its accounts, one after the other, what they are to be told.
type partition struct {
	*Enforcer
	held  *lease.Held
	items chan item
	gone  chan struct{} // closed when the partition is not held any more
	// begun is the session in which its last signals are known, so that balances
	// may come. It is noted here, because a session outlives its partitions.
	begun atomic.Pointer[session]

	// Of the goroutine that runs it.
	session  *session
	accounts map[string]account
	known    bool             // accounts has all that they were told before the session
	news     []stream.Message // that came before that
	report   lease.Report
}

// item is one of these.
type item struct {
	begin    *session        // forget everything: a session begins
	signal   *stream.Message // there was when the session began
	news     *stream.Message // a signal that was published since, by anybody
	known    bool            // all signals there were have come
	balance  *stream.Message
	complete bool // all balances there were have come
	tick     *tickMark
}

// tickMark says how far the session has read.
type tickMark struct{ sequence, pending uint64 }

func newPartition(e *Enforcer, held *lease.Held) *partition {
	return &partition{
		Enforcer: e, held: held, items: make(chan item, itemsMax), gone: make(chan struct{}),
		report: lease.Report{State: lease.StateStarting},
	}
}

// hand waits until the partition takes i, is gone or ctx ends.
func (p *partition) hand(ctx context.Context, i item) {
	select {
	case p.items <- i:
	case <-p.gone:
	case <-ctx.Done():
	}
}

// offer hands i over unless there is much to do already.
func (p *partition) offer(i item) {
	select {
	case p.items <- i:
	default:
	}
}

func (p *partition) run(ctx context.Context) {
	p.held.Report(p.report)
	for {
		select {
		case i := <-p.items:
			p.take(ctx, i)
		case <-ctx.Done():
			return
		}
	}
}

func (p *partition) take(ctx context.Context, i item) {
	switch {
	case i.begin != nil:
		p.session, p.accounts, p.known, p.news = i.begin, map[string]account{}, false, nil
		p.report.Sequence = 0
		p.report.State = lease.StateStarting
	case i.signal != nil:
		name := accountOf(*i.signal)
		p.accounts[name] = p.accounts[name].heard(i.signal.Data, i.signal.Sequence)
		return
	case i.known:
		p.known = true
		for _, m := range p.news {
			p.hear(ctx, m)
		}
		p.news = nil
		return
	case i.news != nil && !p.known:
		p.news = append(p.news, *i.news)
		return
	case i.news != nil:
		p.hear(ctx, *i.news)
		return
	case i.balance != nil:
		p.observe(ctx, *i.balance)
		p.report.Sequence = max(p.report.Sequence, i.balance.Sequence)
		return
	case i.complete:
		p.report.State = lease.StateLive
	case i.tick != nil:
		if p.report.State == lease.StateLive {
			p.report.Sequence = i.tick.sequence // also what was others'
		}
		p.report.Lag = i.tick.pending + uint64(len(p.items))
	}
	p.held.Report(p.report)
}

// hear takes in a signal and, when it is another enforcer's or one whose
// acknowledgement was lost, looks at the account again: what it was told may be
// less than it seemed.
func (p *partition) hear(ctx context.Context, m stream.Message) {
	name := accountOf(m)
	if m.Sequence <= p.accounts[name].last {
		return
	}
	p.accounts[name] = p.accounts[name].heard(m.Data, m.Sequence)
	report := p.report
	for ctx.Err() == nil {
		b, ok, err := p.balances.Last(ctx, subjectOf(name))
		if err != nil {
			p.retry(ctx, "an account's balance is read again", name, err)
			continue
		}
		if p.report = report; ok {
			p.observe(ctx, b)
		}
		return
	}
}

// observe publishes what a balance gives reason to. It returns when that is
// done or ctx ends.
func (p *partition) observe(ctx context.Context, m stream.Message) {
	var b events.Balance
	if err := json.Unmarshal(m.Data, &b); err != nil || b.Account != keyOf(m) {
		// A deletion, or not the projector's: which will write it again.
		p.config.Logger.Debug("passed over a value that is no balance", "key", keyOf(m), "seq", m.Sequence)
		return
	}
	for ctx.Err() == nil {
		err := p.tell(ctx, b)
		switch {
		case err == nil:
			return
		case errors.Is(err, events.ErrInvalid):
			p.config.Logger.Error("passed over a balance that makes no valid signal", "account", b.Account, "seq", b.Sequence, "err", err)
			return
		}
		p.catchUp(ctx, b.Account, err)
	}
}

// tell publishes what b gives reason to.
func (p *partition) tell(ctx context.Context, b events.Balance) error {
	published := p.accounts[b.Account].published
	react := policy.React
	if published.Before(b) {
		lost, err := p.lost(ctx, published.Cause())
		if err != nil {
			return err
		}
		if lost {
			react = policy.ReactRewound
		}
	}
	for _, s := range react(published, b) {
		if err := p.publish(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// lost reports whether LEDGER does not hold the entry that a signal named as
// its cause: a power cut took it.
func (p *partition) lost(ctx context.Context, c events.Cause) (bool, error) {
	m, ok, err := p.ledger.Get(ctx, c.Sequence)
	if err != nil {
		return false, err
	}
	return !ok || m.Time.UnixMicro() != c.At.UnixMicro(), nil
}

// publish appends s behind the account's last signal.
func (p *partition) publish(ctx context.Context, s events.Signal) error {
	header, body, err := events.EncodeSignal(s)
	if err != nil {
		return err
	}
	a := p.accounts[s.Account]
	sequence, err := p.signals.Append(ctx, stream.Append{
		Subject: events.SignalSubject(s.Kind, s.Account), Header: header, Data: body,
		Fence: &stream.Fence{Subject: everySignalOf(s.Account), Sequence: a.last},
	})
	if err != nil {
		return err
	}
	p.accounts[s.Account] = account{published: a.published.After(s), last: sequence}
	p.session.heard(sequence, body)
	p.metrics.published(s, time.Now())
	return nil
}

// catchUp reads what an account was told after a publish that was fenced, by
// another enforcer or by an earlier publish of our own whose acknowledgement
// was lost, or whose outcome is unknown.
func (p *partition) catchUp(ctx context.Context, name string, cause error) {
	live := p.report
	defer func() {
		p.report = live
		p.held.Report(live)
	}()
	if errors.Is(cause, stream.ErrFenced) {
		p.metrics.fenced.Inc()
	} else {
		p.retry(ctx, "a signal is tried again", name, cause)
	}
	for ctx.Err() == nil {
		a, err := p.reread(ctx, name)
		if err == nil {
			p.accounts[name] = a
			return
		}
		p.retry(ctx, "an account's last signals are read again", name, err)
	}
}

// retry says what goes wrong and waits.
func (p *partition) retry(ctx context.Context, what, account string, err error) {
	if ctx.Err() != nil {
		return
	}
	p.config.Logger.Warn(what, "account", account, "err", err)
	p.report.State, p.report.Error, p.report.Lag = lease.StateRetrying, err.Error(), uint64(len(p.items))+1
	p.held.Report(p.report)
	_ = pause.For(ctx, retryDelay) // who called looks at ctx
}

// reread reads an account's last signals. The fence is read first: a signal
// that arrives in between makes the next publish fail.
func (p *partition) reread(ctx context.Context, name string) (account, error) {
	var found []stream.Message
	for _, subject := range []string{
		everySignalOf(name),
		events.SignalSubject(events.SignalLow, name),
		events.SignalSubject(events.SignalExhausted, name),
		events.SignalSubject(events.SignalRestored, name),
		events.SignalSubject(events.SignalOverageStarted, name),
		events.SignalSubject(events.SignalBudgetExceeded, name),
		events.SignalSubject(events.SignalBudgetRestored, name),
		events.SignalSubject(events.SignalTopUpRequested, name),
	} {
		m, ok, err := p.signals.Last(ctx, subject)
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
