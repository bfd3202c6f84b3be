package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// swapGrace is how long a swap may take before a writer that waits for it
// carries it out itself.
const swapGrace = 30 * time.Second

// shadowSuffix follows the name of a database in the name of its shadow's.
const shadowSuffix = "_rebuild"

// swapper exchanges the live tables for those of a shadow. What it has done so
// far is in the manifest, in the names of the shadow's tables, and in the
// generation of each table, so that anybody can take over at any point: who
// does renames the shadow's tables first, and everybody else's exchange fails.
// A swap that has begun is always carried out.
type swapper struct {
	config       Config
	live, shadow *server
	manifest     *agreement // of the live database
}

// begin stops all writers: until the swap has ended, nothing can be agreed on.
func (s *swapper) begin(ctx context.Context, generation uint64) error {
	return s.claim(ctx, func(m *manifest) error {
		if m.Swap.Generation > 0 {
			return errReplaced
		}
		m.Swap = swap{Generation: generation, Attempt: 1}
		return nil
	})
}

// takeOver carries out a swap that somebody else began.
func (s *swapper) takeOver(ctx context.Context) error {
	err := s.claim(ctx, func(m *manifest) error {
		if m.Swap.Generation == 0 {
			return errOvertaken
		}
		m.Swap.Attempt++
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.live.connect(); err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	if err := s.complete(ctx); err != nil {
		return err
	}
	return s.exchange(ctx)
}

// complete sends what was agreed on last for the shadow, of which whoever died
// may have sent some.
func (s *swapper) complete(ctx context.Context) error {
	rebuilt := newAgreement(s.config.Broker, keyRebuild)
	if err := rebuilt.read(ctx); err != nil || rebuilt.manifest.Newest.Complete || rebuilt.manifest.Newest.Last == 0 {
		return err
	}
	filler, err := newFiller(s.config, s.shadow)
	if err != nil {
		return err
	}
	filler.only = s.manifest.manifest.Swap.Generation
	filler.ending.after(rebuilt.manifest.Newest.Last)
	if err := filler.project(ctx); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// freeze makes sure that nothing can be agreed on for the shadow any more, all
// of which was sent.
func (s *swapper) freeze(ctx context.Context) error {
	rebuilt := newAgreement(s.config.Broker, keyRebuild)
	if err := rebuilt.read(ctx); err != nil || rebuilt.manifest.Swap.Generation > 0 {
		return err
	}
	next := rebuilt.manifest
	if next.Generation != s.manifest.manifest.Swap.Generation {
		return diverged("the rebuilt tables of generation %d are gone: run drawdown rebuild clickhouse", s.manifest.manifest.Swap.Generation)
	}
	if err := s.shadow.connect(); err != nil {
		return err
	}
	at, err := readPosition(ctx, s.shadow)
	if err != nil {
		return err
	}
	if at.ledger.Span != next.Newest.Span {
		return errOvertaken // somebody still fills it
	}
	next.Newest.Complete, next.Swap = true, s.manifest.manifest.Swap
	return rebuilt.propose(ctx, next)
}

// abandon lets go of a swap whose rebuilt tables are gone.
func (s *swapper) abandon(ctx context.Context) error {
	return s.claim(ctx, func(m *manifest) error {
		m.Swap = swap{}
		return nil
	})
}

// claim changes the manifest, whatever others agree on meanwhile.
func (s *swapper) claim(ctx context.Context, change func(*manifest) error) error {
	for {
		if err := s.manifest.read(ctx); err != nil {
			return err
		}
		next := s.manifest.manifest
		next.Format = manifestFormat
		if err := change(&next); err != nil {
			return err
		}
		err := s.manifest.propose(ctx, next)
		if !errors.Is(err, errOvertaken) {
			return err
		}
		if pause.For(ctx, time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

// fence makes the live tables refuse inserts, and waits for those under way.
func (s *swapper) fence(ctx context.Context) error {
	tables, err := s.live.generations(ctx, s.live.database())
	if err != nil {
		return err
	}
	for table, generation := range tables {
		if generation == s.manifest.manifest.Swap.Generation {
			continue // was exchanged
		}
		if err := s.live.rename(ctx, table, generationName(generation), generationPrefix+"closed"); err != nil {
			return err
		}
	}
	return s.live.awaitInserts(ctx, s.live.database())
}

// exchange exchanges the tables, lets writers go on with the new ones, and
// drops the old.
func (s *swapper) exchange(ctx context.Context) error {
	if err := s.freeze(ctx); err != nil {
		return err
	}
	seized, err := s.seize(ctx)
	if err != nil {
		return err
	}
	if err := s.live.awaitInserts(ctx, s.shadow.database()); err != nil {
		return err
	}
	there, err := s.live.tables(ctx)
	if err != nil {
		return err
	}
	live, err := s.live.generations(ctx, s.live.database())
	if err != nil {
		return err
	}
	goal := s.manifest.manifest.Swap.Generation
	var pairs, missing []string
	for _, table := range slices.Sorted(maps.Keys(seized)) {
		name, from := quoteName(s.live.database())+"."+quoteName(table), quoteName(s.shadow.database())+"."+quoteName(seized[table])
		switch {
		case !slices.Contains(there, table):
			missing = append(missing, from+" TO "+name)
		case live[Table(table)] != goal:
			pairs = append(pairs, name+" AND "+from)
		}
	}
	if len(missing) > 0 {
		if err := s.live.conn.Exec(ctx, "RENAME TABLE "+strings.Join(missing, ", ")); err != nil {
			return fmt.Errorf("put missing tables in place: %w", err)
		}
	}
	if len(pairs) > 0 {
		if err := s.live.conn.Exec(ctx, "EXCHANGE TABLES "+strings.Join(pairs, ", ")); err != nil {
			return fmt.Errorf("exchange tables: %w", err)
		}
	}
	return s.end(ctx)
}

// seizedMark stands between the name of a shadow's table and the attempt that
// took it.
const seizedMark = "__swap"

// seize renames the shadow's tables, so that nobody else can exchange them, and
// returns their names now, by the names they are to have. It relies on the
// server's carrying out statements that rename the same tables one after the
// other, which was not tried with two at once.
func (s *swapper) seize(ctx context.Context) (map[string]string, error) {
	all, err := s.live.generations(ctx, s.shadow.database())
	if err != nil {
		return nil, err
	}
	suffix := seizedMark + strconv.Itoa(s.manifest.manifest.Swap.Attempt)
	seized, renames := map[string]string{}, []string(nil)
	for name := range all {
		table, _, _ := strings.Cut(string(name), seizedMark)
		seized[table] = table + suffix
		if string(name) != table+suffix {
			renames = append(renames, quoteName(s.shadow.database())+"."+quoteName(string(name))+" TO "+quoteName(s.shadow.database())+"."+quoteName(table+suffix))
		}
	}
	if len(renames) == 0 {
		return seized, nil
	}
	slices.Sort(renames)
	if err := s.live.conn.Exec(ctx, "RENAME TABLE "+strings.Join(renames, ", ")); err != nil {
		return nil, fmt.Errorf("take over the rebuilt tables: %w", err)
	}
	return seized, nil
}

// end lets writers go on where the shadow's stood.
func (s *swapper) end(ctx context.Context) error {
	rebuilt := newAgreement(s.config.Broker, keyRebuild)
	if err := rebuilt.read(ctx); err != nil {
		return err
	}
	owner, err := s.live.owner(ctx)
	if err != nil {
		return err
	}
	m := s.manifest.manifest
	if owner.Generation != m.Swap.Generation || rebuilt.manifest.Generation != m.Swap.Generation {
		return diverged("the rebuilt tables of generation %d are gone: run drawdown rebuild clickhouse", m.Swap.Generation)
	}
	if owner, err = s.live.Claim(ctx, rebuilt.manifest.Installation); err != nil {
		return err
	}
	next := rebuilt.manifest
	next.Database, next.Swap = owner.Database, swap{}
	if err := s.manifest.propose(ctx, next); err != nil {
		return err
	}
	if err := rebuilt.remove(ctx); err != nil {
		return err
	}
	if err := s.live.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quoteName(s.shadow.database())+" SYNC"); err != nil {
		return fmt.Errorf("drop the old tables: %w", err)
	}
	return nil
}

// finishSwap waits for a swap that somebody has begun, or carries it out when
// that takes too long.
func (p *Projection) finishSwap(ctx context.Context, a *agreement) error {
	live, ok := p.store.(*server)
	state, err := a.log.State(ctx)
	if err != nil {
		return err
	}
	if !ok || p.key != keyLive || state.Now.Sub(a.writtenAt) < p.swapGrace {
		return errSwapping
	}
	p.log.WarnContext(ctx, "clickhouse projection carries out a rebuild that somebody has left")
	shadow := live.beside()
	defer shadow.Close()
	if err := (&swapper{config: p.config, live: live, shadow: shadow, manifest: a}).takeOver(ctx); err != nil {
		return err
	}
	return errOvertaken // begins again with the new tables
}
