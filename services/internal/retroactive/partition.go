package retroactive

import (
	"context"
	"errors"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/charges"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// partition is the part of a job that one partition is. It is for one goroutine.
type partition struct {
	*job
	number  int
	rerated *rerate.Rerating
	amends  int // events amended since the ledger's end was last reached
}

// partition amends the events of one partition, in the ledger's order, up to an
// end behind which nothing differs.
func (j *job) partition(ctx context.Context, number int) error {
	p := &partition{job: j, number: number, rerated: rerate.New(j.Rerate)}
	corrections, err := p.corrections(ctx)
	if err != nil {
		return err
	}
	next := j.from()
	through := func(sequence uint64) {
		next = stream.From{Sequence: sequence + 1}
		p.passed(number, sequence)
	}
	for {
		if err := charges.Each(ctx, corrections, next, through, func(c charges.Charge) error { return p.look(ctx, c) }); err != nil {
			return err
		}
		p.passed(number, j.end)
		// Raters may still have rated by an older card, and counted before a
		// correction.
		settled := time.Since(j.began) > settleTime && p.amends == 0
		if settled {
			return nil
		}
		p.amends = 0
		if err := pause.For(ctx, settleTime+time.Millisecond); err != nil {
			return err
		}
	}
}

// corrections are those that stand.
func (p *partition) corrections(ctx context.Context) (*charges.Corrections, error) {
	c := charges.Config{Ledger: p.Ledger.Broker.Log(events.StreamLedger), Partition: &p.number, Since: p.from().Since}
	all, err := charges.ReadCorrections(ctx, c, nil)
	if err != nil || all.Len() == 0 {
		return all, err
	}
	refused, err := p.Ledger.RefusedCorrections(ctx, p.number, all.First())
	if err != nil || len(refused) == 0 {
		return all, err
	}
	c.Refused = func(at past.Place) bool { return refused[at] }
	return charges.ReadCorrections(ctx, c, nil)
}

// look amends an event if its charge differs.
func (p *partition) look(ctx context.Context, c charges.Charge) error {
	if c.Now == nil {
		p.looked(true)
		return nil
	}
	after := !c.Now.Time.Before(p.Rerate.From)
	if after {
		p.looked(false)
	}
	if after && len(c.Now.Tiers) > 0 && c.Now.Tiers[0].Period.Before(p.Since) {
		return &earlierError{c.Now.Tiers[0].Period}
	}
	if c.Now.Card != p.Card {
		return p.rerated.Count(c.Account, c.Now)
	}
	now, err := p.rerated.Charge(c.Account, c.Now)
	switch {
	case err != nil:
		p.kept(c.Account, c.Now, err)
		now = c.Now
	case now != c.Now:
		if now, err = p.amend(ctx, c); err != nil {
			return err
		}
	}
	return p.rerated.Count(c.Account, now)
}

// amend puts the right charge in the place of the one that stands, and returns
// what the event is charged then; nil when it was made void meanwhile.
func (p *partition) amend(ctx context.Context, c charges.Charge) (*events.Debit, error) {
	if err := p.refresh(ctx); err != nil {
		return nil, err
	}
	a := amendment{partition: p, event: correction.Event{Account: c.Account, First: c.First, Debit: *c.Debit}, now: c.Now}
	err := a.run(ctx, c)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		p.kept(c.Account, c.Now, err)
		return c.Now, nil
	case err != nil:
		return nil, err
	case a.unratable != nil && a.now != nil:
		p.kept(c.Account, a.now, a.unratable)
	case a.written && a.now != nil:
		p.amends++
		err = p.amended(c.Now.Amount, a.now.Amount)
	}
	return a.now, err
}

// amendment is that of one event.
type amendment struct {
	*partition
	event     correction.Event
	now       *events.Debit // what it is charged in the end
	unratable error         // why that is not what the cards say
	written   bool          // a correction, or maybe
}

// charge is the right charge of an event that stands so.
func (a *amendment) charge(_ context.Context, s correction.Standing) (*events.Debit, error) {
	if a.now, a.unratable = s.Charge, nil; s.Charge == nil {
		return nil, nil
	}
	right, err := a.rerated.Charge(a.event.Account, s.Charge)
	if err != nil {
		a.unratable = err
		return s.Charge, nil
	}
	a.now = right
	return right, nil
}

// run corrects the event, first as if nobody had since it was read. What became of
// a correction whose answer does not come is seen when it is tried again.
func (a *amendment) run(ctx context.Context, c charges.Charge) error {
	corrector := correction.Corrector{Ledger: a.Ledger, Decide: a.decide}
	s := correction.Standing{Event: a.event, Place: c.Stands, Charge: c.Now}
	if c.Stands != c.First {
		s.Last = c.Stands.Sequence
	}
	now, err := a.charge(ctx, s)
	if err != nil || now == s.Charge {
		return err
	}
	_, err = corrector.Put(ctx, s, now, a.Reason)
	for range triesMax {
		var refused *RefusedError
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, stream.ErrFenced) {
			a.Logger.Warn("event is amended again", "account", c.Account, "event_id", c.Debit.ID, "err", err)
			if err := pause.For(ctx, settleTime); err != nil {
				return err
			}
		}
		_, err = corrector.Correct(ctx, a.event, a.Reason, a.charge, nil)
	}
	return err
}

// decide is Decide, and notes what may have been written.
func (a *amendment) decide(ctx context.Context, e events.Entry, subject string, last uint64) (events.Decision, error) {
	d, err := a.Decide(ctx, e, subject, last)
	a.written = a.written || !errors.Is(err, stream.ErrFenced)
	return d, err
}
