package balances

import (
	"context"
	"errors"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

const (
	ticksMax = 1000 // in one chunk

	// lookMax bounds the wait between two looks at the clock, so that a local
	// clock that is set is noticed.
	lookMax = time.Second
	// tickDelay is the wait for a tick to come back before another is tried.
	tickDelay = time.Second
	// tickDelayMax bounds the wait when ticks change nothing.
	tickDelayMax = time.Minute
)

// clock decides when a partition appends ticks for accounts that are due.
type clock struct {
	last      uint64    // LEDGER sequence of the partition's last ticks
	notBefore time.Time // local; no tick is appended earlier
	longest   string    // the account longest due when ticks were last appended
	fruitless int       // ticks in a row that left it due
}

// until returns how long to wait before the next look, and false when nothing
// is ever due.
func (c *clock) until(s *ledger.State, now time.Time) (time.Duration, bool) {
	due, ok := s.NextDue()
	if !ok {
		return 0, false
	}
	if due.Before(c.notBefore) {
		due = c.notBefore
	}
	return min(max(due.Sub(now), 0), lookMax), true
}

// back notes that ticks came back from the log as m. Accounts may still be due
// by the local clock: at once if there were more than one chunk holds, and
// when the ledger's clock gets there if it lags behind the local one.
func (c *clock) back(m stream.Message, s *ledger.State, now time.Time) {
	c.last = m.Sequence
	c.notBefore = time.Time{}
	due, ok := s.NextDue()
	if ok && due.After(m.Time) && !due.After(now) {
		c.notBefore = now.Add(min(due.Sub(m.Time), tickDelayMax))
	}
	if ok && !due.After(m.Time) && s.Due(m.Time, 1)[0] == c.longest {
		c.notBefore = now.Add(min(tickDelay<<c.fruitless, tickDelayMax))
		c.fruitless = min(c.fruitless+1, 6)
		return
	}
	c.fruitless = 0
}

// tick appends ticks for the accounts that are due by the local clock. The
// fence lets one of several projectors through. Nothing is applied here: the
// ticks come back from the log, or, when the outcome is unknown or somebody
// else was first, the accounts are still due at the next look.
func (p *partition) tick(ctx context.Context) error {
	now := p.config.Now()
	if d, ok := p.clock.until(p.state, now); !ok || d > 0 {
		return nil
	}
	accounts := p.state.Due(now, ticksMax)
	if len(accounts) == 0 {
		return nil
	}
	var chunk events.Chunk
	for _, account := range accounts {
		chunk.Entries = append(chunk.Entries, events.Entry{Kind: events.EntryTick, Account: account})
	}
	body, err := events.EncodeChunk(chunk)
	if err != nil {
		return err
	}
	p.clock.notBefore, p.clock.longest = now.Add(tickDelay), accounts[0]
	_, err = p.ledger.Append(ctx, stream.Append{
		Subject: events.LedgerSubject(p.number, events.WriterClock), Data: body, Fence: &stream.Fence{Sequence: p.clock.last},
	})
	if err != nil && !errors.Is(err, stream.ErrFenced) && ctx.Err() == nil {
		p.config.Logger.Warn("ticks are tried again", "partition", p.number, "err", err)
	}
	return context.Cause(ctx)
}
