package simulation

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// auditClickHouse compares the tables of ClickHouse with the ledger folded in
// one go, row for row, and the rollups with the rows.
func (w *world) auditClickHouse() string {
	wantLedger, wantUsage := w.expectedRows()
	d := w.database
	if wrong := compareRows("ledger", d.tables[clickhouse.TableLedger].rows, wantLedger); wrong != "" {
		return wrong
	}
	if wrong := compareRows("usage_events", d.tables[clickhouse.TableUsage].rows, wantUsage); wrong != "" {
		return wrong
	}
	charged := map[string]int64{}
	for _, r := range d.tables[clickhouse.TableLedger].rows {
		charged[r.Account] += int64(r.Amount)
	}
	for account, sum := range charged {
		if d.rolled[account] != sum {
			return fmt.Sprintf("the rollups say that %s was charged %d; the rows say %d", account, d.rolled[account], sum)
		}
	}
	return w.auditCopiedSignals()
}

// auditCopiedSignals compares table signals, in which a row replaces itself,
// with stream SIGNALS.
func (w *world) auditCopiedSignals() string {
	copied := map[uint64]string{}
	for _, r := range w.database.tables[clickhouse.TableSignals].rows {
		copied[r.Sequence] = r.Account + " " + r.Kind
	}
	all := w.server.Messages(events.StreamSignals)
	for _, m := range all {
		s, err := events.DecodeSignal(m.Data)
		if want := s.Account + " " + string(s.Kind); err != nil || copied[m.Sequence] != want {
			return fmt.Sprintf("signal %d is %q in ClickHouse; expected %q (%v)", m.Sequence, copied[m.Sequence], want, err)
		}
	}
	if len(copied) != len(all) {
		return fmt.Sprintf("ClickHouse has %d signals; expected %d", len(copied), len(all))
	}
	return ""
}

// expectedRows are the postings and usage events of the ledger as it stands.
func (w *world) expectedRows() (postings, usage map[string]clickhouse.Row) {
	postings, usage = map[string]clickhouse.Row{}, map[string]clickhouse.Row{}
	state := ledger.New()
	for _, m := range w.server.Messages(events.StreamLedger) {
		number := 0
		for i, e := range w.chunk(m).Entries {
			at := ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time.Truncate(time.Microsecond)}
			_, all := state.Apply(at, e, nil)
			for j, p := range all {
				r := clickhouse.Row{
					Sequence: m.Sequence, Entry: i, Posting: number, Account: p.Account, Kind: string(p.Kind), Refused: p.Refused,
					Amount: p.Charged, Granted: p.Granted, Available: p.Available,
				}
				if e.Debit != nil && j == len(all)-1 {
					r.Source, r.ID = e.Debit.Source, e.Debit.ID
					if p.Refused == "" {
						usage[fmt.Sprintf("%d.%d", m.Sequence, i)] = r
					}
				}
				if c := e.Correction; c != nil && j == len(all)-1 {
					r.Source, r.ID = c.Source, c.ID
				}
				postings[fmt.Sprintf("%d.%d", m.Sequence, number)] = r
				number++
			}
		}
		if number == 0 {
			postings[fmt.Sprintf("%d.0", m.Sequence)] = clickhouse.Row{Sequence: m.Sequence, Kind: "none"}
		}
	}
	return postings, usage
}

// compareRows checks that a table holds each row wanted, once, and no other.
func compareRows(name string, got []row, want map[string]clickhouse.Row) string {
	seen := map[string]bool{}
	for _, r := range got {
		key := fmt.Sprintf("%d.%d", r.Sequence, r.Posting)
		expected, ok := want[key]
		if name == "usage_events" {
			key = fmt.Sprintf("%d.%d", r.Sequence, r.Entry)
			expected, ok = want[key]
			expected.Posting, expected.Kind, expected.Available = r.Posting, r.Kind, r.Available // it has no such columns
		}
		switch {
		case !ok:
			return fmt.Sprintf("table %s holds %+v, which the ledger does not", name, r.Row)
		case seen[key]:
			return fmt.Sprintf("table %s holds %+v twice", name, r.Row)
		case r.Row != expected:
			return fmt.Sprintf("table %s holds %+v; expected %+v", name, r.Row, expected)
		}
		seen[key] = true
	}
	if len(seen) != len(want) {
		return fmt.Sprintf("table %s holds %d rows; expected %d", name, len(seen), len(want))
	}
	return ""
}
