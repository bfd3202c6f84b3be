package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// mustStop runs a projection of w into dsn and returns why it stops.
func (w *world) mustStop(dsn string) string {
	w.t.Helper()
	p := w.projection(dsn, 50)
	stop := run(w.t, p)
	await(w.t, "a stop", func() bool { return p.Status().State == StateStopped })
	stop()
	if err := p.Halted()["projection clickhouse"]; err == nil || err.Error() != p.Status().Problem {
		w.t.Errorf("halted by %v; status %+v", err, p.Status())
	}
	return p.Status().Problem
}

func TestAProjectionStopsWhenClickHouseHoldsWhatTheStreamDoesNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		messages int    // in the stream that the second projection reads
		damage   string // done to the tables before
		says     []string
	}{
		"the stream lost its tail": {
			messages: 99, says: []string{"stream LEDGER ends at 99; expected message 100"},
		},
		"another installation's stream is as long": {
			messages: 100, says: []string{"message 100 of stream LEDGER was stored at", "lost its end, or is another one"},
		},
		"another installation's stream is longer": {
			messages: 101, says: []string{"message 100 of stream LEDGER was stored at"},
		},
		"a batch lost a row": {
			messages: 100, damage: "DELETE FROM ledger WHERE ledger_seq = 100 AND posting = 0", says: []string{"rows in table ledger, and was sent with"},
		},
		"two projectors wrote": {
			messages: 100,
			damage: `INSERT INTO ledger SELECT * REPLACE (1 AS batch_rows, batch_last + 1 AS batch_last, ledger_seq + 1 AS ledger_seq)
				FROM ledger WHERE ledger_seq = 100 AND posting = 0`,
			says: []string{"overlap"},
		},
		"usage_events is far ahead": {
			messages: 100,
			damage: `INSERT INTO usage_events SELECT * REPLACE (1 AS batch_rows, 200 AS batch_first, 210 AS batch_last, 205 AS ledger_seq)
				FROM usage_events LIMIT 1`,
			says: []string{"usage_events is 200-210"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := enginetest.Database(t)
			first := newWorld(t, 10)
			first.write(100)
			first.project(dsn, 50)
			second := first
			if c.damage == "" {
				second = newWorld(t, 10)
				second.write(c.messages)
			} else {
				exec(t, enginetest.Connect(t, dsn), c.damage)
			}
			err := second.mustStop(dsn)
			for _, text := range c.says {
				if !strings.Contains(err, text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
		})
	}
}

func TestReconciliationNamesEachDisagreement(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 12), enginetest.Database(t)
	w.write(150)
	w.project(dsn, 50)
	conn := enginetest.Connect(t, dsn)
	if found := reconcile(t, conn); len(found) > 0 {
		t.Fatalf("found %v before anything was changed", found)
	}
	var batch, early, late uint64
	scan(t, conn, "SELECT batch_first FROM ledger WHERE ledger_seq = 70 LIMIT 1", &batch)
	scan(t, conn, "SELECT minIf(ledger_seq, ledger_seq >= 10), minIf(ledger_seq, ledger_seq >= 100) FROM usage_events", &early, &late)
	mutate := " SETTINGS mutations_sync = 2"
	before := ""
	for _, c := range []struct{ name, damage, check string }{
		{"a rollup by minute counts too much", "INSERT INTO usage_by_minute VALUES ('2026-01-01 00:00:00', 'x', 1, 0)", "usage_by_minute: 2026-01-01 00:00:00 x: 0 calls, 0 uc, 1 calls, 0 uc"},
		{"a rollup by hour charges too little", "INSERT INTO usage_by_hour VALUES ('account-1', '2026-01-01 00:00:00', 0, -1)", "usage_by_hour: account-1 2026-01-01 00:00:00: 0 calls, 0 uc, 0 calls, -1 uc"},
		{"a rollup by day lost a row", "DELETE FROM usage_by_day WHERE account = 'account-3'", "usage_by_day: account-3"},
		{"a balance is wrong", "INSERT INTO balances (account, available_uc, account_seq) VALUES ('account-4', 1, 1000000)", "balances: account-4"},
		{"an unknown account has a balance", "INSERT INTO balances (account, account_seq) VALUES ('nobody', 1)", "balances: nobody"},
		{"a grant has another amount", "ALTER TABLE ledger UPDATE granted_uc = granted_uc + 1 WHERE account = 'account-5' AND account_seq = 1" + mutate, "granted = remaining + drawn + expired + voided: account-5"},
		{"a charge has another amount", "ALTER TABLE ledger UPDATE charged_uc = charged_uc + 1 WHERE account = 'account-6' AND account_seq = 2" + mutate, "charged = drawn + overage + forgiven: account-6"},
		{"a usage event is missing", fmt.Sprintf("DELETE FROM usage_events WHERE ledger_seq = %d", early), fmt.Sprintf("usage_events: ledger message %d:", early)},
		{"a usage event belongs to another account", fmt.Sprintf("ALTER TABLE usage_events UPDATE project = 'other' WHERE ledger_seq = %d", late) + mutate, fmt.Sprintf("usage_events: ledger message %d:", late)},
		{"a batch of usage events is not whole", "DELETE FROM usage_events WHERE ledger_seq > 130 AND ledger_seq < 140", "usage_events batch: "},
		{"a row is there twice", "INSERT INTO ledger SELECT * FROM ledger WHERE kind = 'debit' LIMIT 1", "ledger batch: "},
		{"a posting of an account is missing", "DELETE FROM ledger WHERE account = 'account-7' AND account_seq = 2", "account postings: account-7"},
		{"a whole batch is missing", fmt.Sprintf("DELETE FROM ledger WHERE batch_first = %d", batch), "batch chain: "},
	} {
		exec(t, conn, c.damage)
		after := strings.Join(reconcile(t, conn), "\n")
		if strings.Count(after, c.check) <= strings.Count(before, c.check) {
			t.Errorf("%s: no new %q; found\n%s", c.name, c.check, clipped(after))
		}
		before = after
	}
}
