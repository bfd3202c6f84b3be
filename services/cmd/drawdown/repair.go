package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/audit"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// repairReport says what verify --repair found and did.
type repairReport struct {
	// Rewound are the partitions whose USAGE had lost its end.
	Rewound []rater.RewindReport `json:"rewound"`
	// Lost is what ClickHouse knows of a LEDGER that had lost its end; nil when
	// it had not.
	Lost     *analytics.Lost `json:"lost,omitzero"`
	Balances balances.Report `json:"balances"`
	// ClickHouse is nil when there was nothing to rebuild.
	ClickHouse *clickhouse.Report `json:"clickhouse,omitzero"`
	Audit      *audit.Report      `json:"audit"`
}

// repair reconciles downstream of the shorter log, in the order in which the
// data flows, and then verifies. Each step does nothing where nothing is wrong,
// so a repair that was interrupted is run again; one that fails does not keep
// the others from being done.
func (v *verification) repair(ctx context.Context) error {
	r := repairReport{Rewound: []rater.RewindReport{}}
	failed := v.rewind(ctx, &r)
	// Before ClickHouse is rebuilt, for nobody else remembers.
	var err error
	if r.Lost, err = v.lost(ctx); err != nil {
		return errors.Join(failed, err)
	}
	r.Balances, err = v.rebuildBalances(ctx, v.app)
	failed = errors.Join(failed, err)
	stopped, err := v.clickhouseStopped(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	if stopped || r.Lost != nil {
		failed = errors.Join(failed, v.repairClickHouse(ctx, &r))
	}
	if r.Audit, err = v.audit(ctx); err != nil {
		return errors.Join(failed, err)
	}
	if r.ClickHouse == nil && slices.ContainsFunc(r.Audit.Differences, func(d audit.Difference) bool { return d.Where == "clickhouse" }) {
		failed = errors.Join(failed, v.repairClickHouse(ctx, &r))
		if r.Audit, err = v.audit(ctx); err != nil {
			return errors.Join(failed, err)
		}
	}
	if err := v.app.showValue(r, func() { v.app.printRepair(r) }); err != nil {
		return errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	return outcomeOf(r.Audit)
}

// rewind takes usage back where it has to. A partition that cannot be read does
// not keep the others from it.
func (v *verification) rewind(ctx context.Context, r *repairReport) error {
	var failed error
	for p := range v.streams.Partitions {
		rewound, err := rater.Rewind(ctx, v.broker, p)
		failed = errors.Join(failed, err)
		if rewound.Rewound && err == nil {
			r.Rewound = append(r.Rewound, rewound)
		}
	}
	return failed
}

// lost returns what ClickHouse has and the ledger has not; nil when that is
// nothing.
func (v *verification) lost(ctx context.Context) (*analytics.Lost, error) {
	ledger := v.broker.Log(events.StreamLedger)
	return v.history.LostBehind(ctx, func(sequence uint64) (time.Time, error) {
		m, _, err := ledger.Get(ctx, sequence)
		return m.Time, err
	})
}

// clickhouseStopped reports whether the writer of ClickHouse waits for somebody
// to do something.
func (v *verification) clickhouseStopped(ctx context.Context) (bool, error) {
	standing, err := lease.Read(ctx, v.broker)
	if err != nil {
		return false, err
	}
	for _, held := range standing.Leases[lease.ClickHouse] {
		if held.Report.State == lease.StateStopped {
			return true, nil
		}
	}
	return false, nil
}

func (v *verification) repairClickHouse(ctx context.Context, r *repairReport) error {
	report, err := v.rebuildClickHouse(ctx, v.app, v.dsn)
	r.ClickHouse = &report
	return err
}

func (a *app) printRepair(r repairReport) {
	for _, p := range r.Rewound {
		fmt.Fprintf(a.out, "Partition %d: USAGE had lost its end. It is read again from behind message %d, not %d; %d events that it no longer holds stay charged.\n",
			p.Partition, p.To.Sequence, p.From.Sequence, p.Lost)
	}
	if r.Lost != nil {
		fmt.Fprintf(a.out, "LEDGER had lost its end, behind sequence %d: %d charges, which are made again from USAGE as far as it holds them, and %d commands.\n",
			r.Lost.Through, r.Lost.Debits, len(r.Lost.Commands))
		if len(r.Lost.Commands) > 0 {
			fmt.Fprintln(a.out, "Give these again:")
		}
		for _, c := range r.Lost.Commands {
			fmt.Fprintf(a.out, "  %s %s of account %q: %s credits granted, %s charged, recorded at %s\n",
				c.Kind, cmp.Or(c.Grant, c.Hold), c.Account, c.Granted, c.Charged, c.RecordedAt.Format(time.RFC3339))
		}
	}
	a.printBalancesRebuilt(r.Balances)
	if r.ClickHouse != nil {
		a.printClickHouseRebuilt(*r.ClickHouse)
	}
	a.printReport(r.Audit)
}
