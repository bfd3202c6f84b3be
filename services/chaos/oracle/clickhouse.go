package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// table is a query whose rows are a key and numbers, and what they must be.
type table struct {
	name  string
	query string
	want  map[string]string // tab-separated numbers by key
}

// compareClickHouse compares counts and sums, raw and rolled up.
func (o *Oracle) compareClickHouse(ctx context.Context, r *Report) error {
	for _, t := range o.tables() {
		seen := map[string]bool{}
		err := o.query(ctx, t.query, func(fields []string) {
			key, got := fields[0], strings.Join(fields[1:], "\t")
			seen[key] = true
			if want := t.want[key]; got != want {
				r.Differences.add("ClickHouse "+t.name, "%s: %q; expected %q", key, got, want)
			}
		})
		if err != nil {
			// It may still be starting.
			r.Differences.add("ClickHouse does not answer", "%v", err)
			return nil
		}
		for key, want := range t.want {
			if !seen[key] {
				r.Differences.add("ClickHouse "+t.name, "%s: nothing; expected %q", key, want)
			}
		}
	}
	return nil
}

func (o *Oracle) tables() []table {
	charges, totals, balances := map[string]string{}, map[string]string{}, map[string]string{}
	distinct := map[string]string{}
	for name, s := range o.ledger.charges {
		distinct[name] = tabs(s.count, s.uc, s.count)
	}
	for name, s := range o.ledger.standing {
		charges[name] = tabs(s.count, s.uc)
	}
	for name, a := range o.ledger.books.Accounts {
		b := a.Balance()
		totals[name] = tabs(int64(b.Granted), int64(b.Drawn), int64(b.Expired), int64(b.Voided), int64(b.Charged), int64(b.Forgiven))
		balances[name] = tabs(int64(b.Available), int64(b.Overage), int64(b.Remaining))
	}
	operations := map[string]string{}
	for name, s := range o.ledger.operations {
		operations[name] = tabs(s.count, s.uc)
	}
	signals := map[string]string{}
	for name, t := range o.told {
		signals[name] = tabs(int64(t.count), int64(t.count))
	}
	end := strconv.FormatUint(o.ledger.through, 10)
	return []table{
		{"ledger sequences", "SELECT 'all', uniqExact(ledger_seq), max(ledger_seq) FROM ledger", map[string]string{"all": end + "\t" + end}},
		{"ledger debits", "SELECT account, count(), sum(toInt128(charged_uc)), uniqExact(event_source, event_id) FROM ledger WHERE kind = 'debit' AND refused = '' GROUP BY account", distinct},
		{"ledger totals", "SELECT account, sum(toInt128(granted_uc)), sum(toInt128(drawn_uc)), sum(toInt128(expired_uc)), sum(toInt128(voided_uc)), sum(toInt128(charged_uc)), sum(toInt128(forgiven_uc)) FROM ledger WHERE account_seq > 0 GROUP BY account", totals},
		{"usage_events", "SELECT account, count(), sum(toInt128(amount_uc)), uniqExact(source, id) FROM usage_events GROUP BY account", distinct},
		{"usage_by_minute", "SELECT operation, sum(calls), sum(toInt128(charged_uc)) FROM usage_by_minute GROUP BY operation", operations},
		{"usage_by_hour", "SELECT account, sum(calls), sum(toInt128(charged_uc)) FROM usage_by_hour GROUP BY account", charges},
		{"usage_by_day", "SELECT account, sum(calls), sum(toInt128(charged_uc)) FROM usage_by_day GROUP BY account", charges},
		{"signals", "SELECT account, count(), max(sequence) FROM signals FINAL GROUP BY account", signals},
		{"balances", "SELECT account, available_uc, overage_uc, remaining_uc FROM balances FINAL", balances},
	}
}

func tabs(numbers ...int64) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprint(n)
	}
	return strings.Join(texts, "\t")
}
