// Package audit checks a running installation against itself: it reads the
// streams from their beginnings, folds the ledger anew and compares what it
// gets with the balances, the signals and ClickHouse. It trusts nothing that a
// service remembers, and changes nothing.
//
// It may run beside live traffic: everything is compared at one ledger
// sequence, and accounts that have moved on since are left out.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Config says what to audit.
type Config struct {
	Broker     stream.Broker
	Partitions int
	Analytics  *analytics.DB
	// Horizon is for how long a usage event's id is remembered: the same id may
	// be charged again for an event stored later than that.
	Horizon time.Duration
	// Settle is how long the services may take to catch up with the ends that
	// the streams have when the audit begins.
	Settle time.Duration
	// Progress is told how far a step is; nil is fine.
	Progress func(step string, done, total uint64)
}

// Report is what an audit found. It is sound when Differences is empty.
type Report struct {
	Usage       UsageReport   `json:"usage"`
	Ledger      LedgerReport  `json:"ledger"`
	Credits     CreditsReport `json:"credits"`
	Signals     int           `json:"signals"`
	ClickHouse  string        `json:"clickhouse"` // how it was compared
	Differences []Difference  `json:"differences"`
	// MoreDifferences counts those past differencesMax.
	MoreDifferences int `json:"more_differences,omitzero"`
}

// UsageReport counts usage events by what became of them.
type UsageReport struct {
	Messages   uint64 `json:"messages"`
	Events     uint64 `json:"events"`
	Charged    uint64 `json:"charged"`
	Duplicates uint64 `json:"duplicates"`
	Rejected   uint64 `json:"rejected"` // dead-lettered
}

// LedgerReport counts the ledger.
type LedgerReport struct {
	Sequence uint64 `json:"sequence"` // at which everything was compared
	Entries  uint64 `json:"entries"`
	Accounts int    `json:"accounts"`
	// Corrections of usage events are among the entries.
	Corrections uint64 `json:"corrections,omitzero"`
}

// CreditsReport sums all accounts.
type CreditsReport struct {
	Granted   events.Credits `json:"granted"`
	Remaining events.Credits `json:"remaining"`
	Drawn     events.Credits `json:"drawn"`
	Expired   events.Credits `json:"expired"`
	Voided    events.Credits `json:"voided"`
	Charged   events.Credits `json:"charged"`
	Overage   events.Credits `json:"overage"`
	Forgiven  events.Credits `json:"forgiven"`
}

// Difference is one thing that should be equal and is not.
type Difference struct {
	Where  string `json:"where"` // usage, ledger, balances, signals or clickhouse
	Detail string `json:"detail"`
}

const differencesMax = 100

func (r *Report) differ(where, format string, v ...any) {
	if len(r.Differences) >= differencesMax {
		r.MoreDifferences++
		return
	}
	r.Differences = append(r.Differences, Difference{Where: where, Detail: fmt.Sprintf(format, v...)})
}

// Run audits. Its error means that it could not finish, not that it found
// differences.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Progress == nil {
		c.Progress = func(string, uint64, uint64) {}
	}
	r := &Report{Differences: []Difference{}}
	deadline := time.Now().Add(c.Settle)
	if err := r.settled(ctx, c, deadline); err != nil {
		return nil, err
	}
	b, err := readLedger(ctx, c, r)
	if err != nil {
		return nil, err
	}
	if err := checkUsage(ctx, c, b, r); err != nil {
		return nil, err
	}
	for _, check := range []check{checkBalances, checkSignals, checkClickHouse} {
		if err := r.eventually(ctx, c, deadline, b, check); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// check compares one view of the ledger with the book.
type check func(context.Context, Config, *book, *Report) error

const settlePoll = 100 * time.Millisecond

// eventually repeats a check until it finds nothing or time is up: a view may
// stand a moment behind the ledger.
func (r *Report) eventually(ctx context.Context, c Config, deadline time.Time, b *book, run check) error {
	for {
		found := &Report{Ledger: r.Ledger}
		if err := run(ctx, c, b, found); err != nil {
			return err
		}
		if len(found.Differences) == 0 || time.Now().After(deadline) {
			r.Signals += found.Signals
			r.ClickHouse += found.ClickHouse
			r.Differences = append(r.Differences, found.Differences...)
			r.MoreDifferences += found.MoreDifferences
			return nil
		}
		if err := pause.For(ctx, settlePoll); err != nil {
			return err
		}
	}
}
