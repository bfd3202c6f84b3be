package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// position is what ClickHouse holds, by its own account.
type position struct{ ledger, usage Held }

// readPosition asks for the newest batch of each table.
func readPosition(ctx context.Context, store Store) (position, error) {
	var p position
	var err error
	if p.ledger, err = store.Newest(ctx, TableLedger); err != nil {
		return p, err
	}
	p.usage, err = store.Newest(ctx, TableUsage)
	return p, err
}

// promises are the ranges to be sent as they were before.
func (p position) promises(m manifest) ([]promise, error) {
	switch {
	case m.Newest.Last < p.ledger.First, m.Newest.Last == 0:
		return p.adopt() // no manifest yet, or the streams lost its end: every row says its batch
	case p.ledger.Span == m.Newest.Span:
		return p.complete(m)
	case !m.Newest.Complete && p.ledger.Span == m.Previous.Span && (p.usage.Span == m.Newest.Span || p.usage.Last <= m.Previous.Last):
		return []promise{m.Newest.promise()}, nil
	}
	return nil, diverged("ClickHouse ends with batch %s of table ledger and %s of usage_events, after %s and then %s were agreed on: it lost rows, or is another database; see drawdown rebuild clickhouse",
		p.ledger.Span, p.usage.Span, m.Previous.Span, m.Newest.Span)
}

func (a agreed) promise() promise {
	return promise{Span: a.Span, ledgerRows: a.LedgerRows, usageRows: a.UsageRows}
}

// complete is for tables that end with what was agreed on last. What follows
// from them may be behind, so it is sent again.
func (p position) complete(m manifest) ([]promise, error) {
	promises := []promise{m.Newest.promise()}
	if m.Newest.Complete {
		promises = nil
	}
	switch {
	case m.Newest.UsageRows > 0 && p.usage.Span == m.Newest.Span, m.Newest.UsageRows == 0 && p.usage.Last < m.Newest.First:
		return promises, nil
	case m.Previous.Last == 0 && !m.Newest.Complete && p.usage.First == m.Newest.Last+1: // adopted, and not yet through with it
		return append(promises, promise{Span: p.usage.Span, ledgerRows: -1, usageRows: p.usage.Rows}), nil
	}
	return nil, diverged("the newest batch of table usage_events is %s, which does not go with %s of table ledger; see drawdown rebuild clickhouse",
		p.usage.Span, p.ledger.Span)
}

// adopt goes by the tables alone: the newest batch of ledger, because its
// materialized views may be behind, and one that only usage_events has, because
// a crash came between the two inserts.
func (p position) adopt() ([]promise, error) {
	var promises []promise
	if p.ledger.Last > 0 {
		promises = append(promises, promise{Span: p.ledger.Span, ledgerRows: p.ledger.Rows, usageRows: -1})
	}
	switch {
	case p.usage.Last < p.ledger.First: // its newest batch had no usage events, or there is none
	case p.usage.Span == p.ledger.Span:
		if p.usage.Last > 0 {
			promises[0].usageRows = p.usage.Rows
		}
	case p.usage.First == p.ledger.Last+1:
		promises = append(promises, promise{Span: p.usage.Span, ledgerRows: -1, usageRows: p.usage.Rows})
	default:
		return nil, diverged("the newest batch of table usage_events is %s, which does not follow %s of table ledger; see drawdown rebuild clickhouse",
			p.usage.Span, p.ledger.Span)
	}
	return promises, nil
}

// verify checks that LEDGER holds the messages that the tables end with, and
// that the newest agreement is about.
func (p position) verify(ctx context.Context, ledger stream.Log, m manifest) error {
	state, err := ledger.State(ctx)
	if err != nil {
		return err
	}
	if state.First > 1 {
		return diverged("stream %s begins at %d; expected 1", events.StreamLedger, state.First)
	}
	for _, mark := range []stream.Mark{p.ledger.Newest, p.usage.Newest} {
		if err := verifyRow(ctx, ledger, mark); err != nil {
			return fmt.Errorf("compare ClickHouse with stream %s: %w", events.StreamLedger, err)
		}
	}
	return m.Newest.Mark.Verify(ctx, ledger)
}

// start is where a run begins.
type start struct {
	position position
	manifest *agreement
	promises []promise
}

// next is the first sequence that is sent.
func (s start) next() uint64 {
	if len(s.promises) > 0 {
		return s.promises[0].First
	}
	return s.position.ledger.Last + 1
}

// resume finds out where to begin, from what the database holds and what its
// writers have agreed on.
func (p *Projection) resume(ctx context.Context) (start, error) {
	s := start{manifest: newAgreement(p.config.Broker, p.key)}
	if err := s.manifest.read(ctx); err != nil {
		return s, err
	}
	before := s.manifest.manifest
	if p.only > 0 && before.Generation != p.only {
		return s, errReplaced
	}
	owner, err := p.store.Open(ctx)
	if err != nil {
		return s, err
	}
	if err := p.look(ctx, &s); err != nil {
		return s, err
	}
	if m := s.manifest.manifest; m.Database != before.Database || m.Generation != before.Generation || m.Swap != before.Swap {
		return s, errOvertaken // owner was another's before
	}
	if err := p.own(owner, s.manifest); err != nil {
		if errors.Is(err, errSwapping) {
			err = p.finishSwap(ctx, s.manifest)
		}
		return s, err
	}
	if s.promises, err = s.position.promises(s.manifest.manifest); err != nil {
		return s, err
	}
	if err := s.position.verify(ctx, p.config.Broker.Log(events.StreamLedger), s.manifest.manifest); err != nil {
		return s, err
	}
	return s, p.claim(ctx, s.manifest)
}

// look reads manifest and tables so that they go together: nothing is agreed on
// in between.
func (p *Projection) look(ctx context.Context, s *start) error {
	for {
		if err := s.manifest.read(ctx); err != nil {
			return err
		}
		var err error
		if s.position, err = readPosition(ctx, p.store); err != nil {
			return err
		}
		switch err := s.manifest.holds(ctx); {
		case err == nil:
			return nil
		case !errors.Is(err, errOvertaken):
			return err
		}
	}
}

// own refuses what belongs to somebody else.
func (p *Projection) own(owner Owner, a *agreement) error {
	m, installation := a.manifest, p.config.Installation
	switch {
	case owner.Installation != "" && owner.Installation != installation:
		return foreign("the ClickHouse database belongs to installation %s, and this is %s: give each a database of its own", owner.Installation, installation)
	case !a.exists:
		return nil
	case m.Installation != installation:
		return foreign("the manifest in bucket %s belongs to installation %s, and this is %s", events.BucketProjections, m.Installation, installation)
	case m.Swap.Generation > 0:
		return errSwapping
	case m.Database != owner.Database:
		return foreign("the ClickHouse database is not the one that this installation has written: it was replaced or emptied; run drawdown rebuild clickhouse")
	case m.Generation != owner.Generation:
		return diverged("the tables are of generation %d, and %d was agreed on; run drawdown rebuild clickhouse", owner.Generation, m.Generation)
	}
	return nil
}

// claim makes sure that the database and the manifest name each other.
func (p *Projection) claim(ctx context.Context, a *agreement) error {
	owner, err := p.store.Claim(ctx, p.config.Installation)
	if err != nil {
		return err
	}
	if a.exists {
		return nil
	}
	if err := p.own(owner, a); err != nil {
		return err
	}
	return a.propose(ctx, manifest{
		Format: manifestFormat, Installation: p.config.Installation, Database: owner.Database, Generation: owner.Generation,
	})
}
