package simulation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

const clickhouseName = "ClickHouse"

// database is a ClickHouse database: its tables, what it remembers of the
// blocks inserted, and what follows from table ledger.
type database struct {
	owner  clickhouse.Owner
	tables map[clickhouse.Table]*table
	rolled map[string]int64 // charged by account, kept as blocks come
}

// table holds the rows of blocks and which blocks it has taken, and which of
// them the rollups have.
type table struct {
	rows   []row
	taken  map[string]bool
	rolled map[string]bool
}

type row struct {
	clickhouse.Row
	span clickhouse.Span
}

func newDatabase() *database {
	d := &database{owner: clickhouse.Owner{Database: "simulated"}, tables: map[clickhouse.Table]*table{}, rolled: map[string]int64{}}
	for _, name := range []clickhouse.Table{
		clickhouse.TableUsage, clickhouse.TableLedger, clickhouse.TableSignals, clickhouse.TableStopped,
	} {
		d.tables[name] = &table{taken: map[string]bool{}, rolled: map[string]bool{}}
	}
	return d
}

// connection is what one instance has of the database. It is a
// clickhouse.Store.
type connection struct {
	w      *world
	client *simulated.Client
}

var _ clickhouse.Store = (*connection)(nil)

// Open waits, as ClickHouse lets it be seen, for inserts that have begun. One
// that is still on its way nobody sees.
func (c *connection) Open(ctx context.Context) (clickhouse.Owner, error) {
	for {
		var owner clickhouse.Owner
		running := false
		err := c.client.Call(ctx, clickhouseName, "open", func() error {
			owner = c.w.database.owner
			running = slices.ContainsFunc(c.w.network.Operations(), func(o *simulated.Operation) bool {
				return o.Log() == clickhouseName && o.Client() != c.client && o.Begun() && !o.Decided()
			})
			return nil
		})
		if err != nil || !running {
			return owner, err
		}
		if err := pause.For(ctx, 50*time.Millisecond); err != nil {
			return clickhouse.Owner{}, err
		}
	}
}

func (c *connection) Claim(ctx context.Context, installation string) (clickhouse.Owner, error) {
	var owner clickhouse.Owner
	err := c.client.Call(ctx, clickhouseName, "claim", func() error {
		if c.w.database.owner.Installation == "" {
			c.w.database.owner.Installation = installation
		}
		owner = c.w.database.owner
		return nil
	})
	return owner, err
}

func (c *connection) Newest(ctx context.Context, name clickhouse.Table) (clickhouse.Held, error) {
	var held clickhouse.Held
	err := c.client.Call(ctx, clickhouseName, "newest "+string(name), func() (err error) {
		held, err = c.w.newest(name)
		return err
	})
	return held, err
}

// newest finds the newest batch of a table, and what overlaps it.
func (w *world) newest(name clickhouse.Table) (clickhouse.Held, error) {
	t := w.database.tables[name]
	if len(t.rows) == 0 {
		return clickhouse.Held{}, nil
	}
	last := slices.MaxFunc(t.rows, func(a, b row) int { return cmp.Compare(a.Sequence, b.Sequence) })
	held := clickhouse.Held{Span: last.span, Newest: stream.Mark{Sequence: last.Sequence}}
	if name == clickhouse.TableSignals {
		held.First, held.Last = last.Sequence, last.Sequence
	}
	for _, r := range t.rows {
		switch {
		case name == clickhouse.TableSignals:
		case r.span == last.span:
			held.Rows++
		case r.Sequence >= last.span.First:
			return clickhouse.Held{}, fmt.Errorf("batches %s and %s overlap: %w", r.span, last.span, clickhouse.ErrDiverged)
		}
	}
	log := "LEDGER"
	if name == clickhouse.TableSignals {
		log, held.Rows = "SIGNALS", 1
	}
	for _, m := range w.server.History(log) {
		if m.Sequence == last.Sequence {
			held.Newest.StoredAt = m.Time.Truncate(time.Microsecond)
		}
	}
	return held, nil
}

// Insert takes a block once, by its token, and then lets the rollups follow,
// which a crash may prevent.
func (c *connection) Insert(ctx context.Context, b clickhouse.Block) error {
	rows := make([]row, b.Len())
	for i := range rows {
		rows[i] = row{Row: b.Row(i), span: b.Span}
	}
	t := c.w.database.tables[b.Table]
	return c.client.Call(ctx, clickhouseName, fmt.Sprintf("insert %s %s", b.Table, b.Token),
		func() error {
			if b.Generation != c.w.database.owner.Generation {
				return fmt.Errorf("insert into table %s: it has no column generation_%d", b.Table, b.Generation)
			}
			if !t.taken[b.Token] {
				t.taken[b.Token] = true
				t.rows = append(t.rows, rows...)
			}
			return nil
		},
		func() error {
			if b.Table == clickhouse.TableLedger && !t.rolled[b.Token] {
				t.rolled[b.Token] = true
				for _, r := range rows {
					c.w.database.rolled[r.Account] += int64(r.Amount)
				}
			}
			return nil
		})
}

func (c *connection) Close() {}
