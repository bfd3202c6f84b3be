package audit

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
)

// checkClickHouse compares ClickHouse's totals of every account with the
// fold's, and ClickHouse's tables with each other.
func checkClickHouse(ctx context.Context, c Config, b *book, r *Report) error {
	through, err := c.Analytics.ProjectedThrough(ctx)
	if err != nil {
		return err
	}
	c.Progress("clickhouse", through, b.through)
	if through < b.through {
		r.differ("clickhouse", "table ledger holds the ledger through %d of %d", through, b.through)
		return nil
	}
	accounts, err := c.Analytics.Accounts(ctx, b.through)
	if err != nil {
		return err
	}
	for account := range b.state.Accounts() {
		balance, _ := b.state.Balance(account)
		if want, got := totalsOf(balance), accounts[account]; want != got {
			r.differ("clickhouse", "account %s: %+v in table ledger; %+v by the ledger", account, got, want)
		}
		delete(accounts, account)
	}
	for account := range accounts {
		r.differ("clickhouse", "table ledger has rows of account %q, which the ledger does not name", account)
	}
	discrepancies, err := c.Analytics.Reconcile(ctx)
	if err != nil {
		return err
	}
	for _, d := range discrepancies {
		r.differ("clickhouse", "%s, %s: expected %s, found %s", d.Check, d.Subject, d.Expected, d.Found)
	}
	r.ClickHouse = fmt.Sprintf("%d accounts and all rollups through ledger sequence %d", r.Ledger.Accounts, b.through)
	return nil
}

func totalsOf(b events.Balance) analytics.Account {
	return analytics.Account{
		Granted: b.Granted, Drawn: b.Drawn, Expired: b.Expired, Voided: b.Voided, Charged: b.Charged, Forgiven: b.Forgiven,
		Available: b.Available, Held: b.Held, Overage: b.Overage, Remaining: b.Remaining,
	}
}
