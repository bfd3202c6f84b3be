package audit

import (
	"context"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// said is what an account's signals say so far.
type said struct {
	sequence  uint64
	cause     events.Cause
	exhausted bool
}

// checkSignals reads every signal: each account's are numbered without a gap,
// in the order of their causes, exhausted and restored take turns, and the
// last says what the balance says.
func checkSignals(ctx context.Context, c Config, b *book, r *Report) error {
	accounts := map[string]*said{}
	err := stream.Each(ctx, c.Broker.Log(events.StreamSignals), stream.From{}, func(m stream.Message) error {
		checkSignal(m, accounts, b, r)
		c.Progress("signals", m.Sequence, m.Sequence+m.Pending)
		return nil
	})
	if err != nil {
		return err
	}
	for account := range b.state.Accounts() {
		balance, _ := b.state.Balance(account)
		checkLastSaid(balance, accounts[account], b.through, r)
	}
	return nil
}

func checkSignal(m stream.Message, accounts map[string]*said, b *book, r *Report) {
	signal, err := events.DecodeSignal(m.Data)
	if err != nil {
		r.differ("signals", "message %d on %s is no signal: %v", m.Sequence, m.Subject, err)
		return
	}
	r.Signals++
	s := accounts[signal.Account]
	if s == nil {
		s = &said{}
		accounts[signal.Account] = s
	}
	if signal.Sequence != s.sequence+1 {
		r.differ("signals", "account %s: signal %d follows %d", signal.Account, signal.Sequence, s.sequence)
	}
	// A cause that the ledger has lost is behind nothing.
	if signal.Cause.Sequence < s.cause.Sequence && b.holds(s.cause) {
		r.differ("signals", "account %s: signal %d is caused by ledger sequence %d, before its predecessor's %d",
			signal.Account, signal.Sequence, signal.Cause.Sequence, s.cause.Sequence)
	}
	switch {
	case signal.Kind == events.SignalExhausted && s.exhausted:
		r.differ("signals", "account %s: signal %d says exhausted again", signal.Account, signal.Sequence)
	case signal.Kind == events.SignalRestored && !s.exhausted:
		r.differ("signals", "account %s: signal %d says restored without exhausted", signal.Account, signal.Sequence)
	}
	if signal.Kind == events.SignalExhausted || signal.Kind == events.SignalRestored {
		s.exhausted = signal.Kind == events.SignalExhausted
	}
	s.sequence, s.cause = signal.Sequence, signal.Cause
}

// checkLastSaid compares what was said last with the levels now.
func checkLastSaid(b events.Balance, s *said, through uint64, r *Report) {
	if s == nil {
		s = &said{}
	}
	if s.cause.Sequence > through {
		return // it has moved on
	}
	stops := false
	for _, level := range b.Levels {
		stops = stops || level.Kind == events.SignalExhausted
		if level.Kind == events.SignalExhausted && level.Reached != s.exhausted {
			r.differ("signals", "account %s has %s available and its hard stop at %s; its last signals say exhausted: %t",
				b.Account, b.Available, level.At, s.exhausted)
		}
	}
	if !stops && s.exhausted {
		r.differ("signals", "account %s is never exhausted; its last signals say that it is", b.Account)
	}
}
