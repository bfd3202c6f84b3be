package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// totals are sums that a table must hold, by a text of their key.
type totals map[string]sum

type sum struct {
	Calls     int64
	ChargedUC int64
}

// add adds calls, which may be negative, and what they are charged.
func (t totals) add(key string, calls int64, amount events.Credits) {
	s := t[key]
	t[key] = sum{s.Calls + calls, s.ChargedUC + int64(amount)}
}

// wanted is what ClickHouse must hold, worked out apart from the code tested.
type wanted struct {
	events            map[string]string // by source and id
	minute, hour, day totals
	balances          map[string]string
	postings, usage   uint64
	granted, expired  int64
	refusals, nothing int
	corrections       int // that stand
}

// want works out what the tables must say of all that was written.
func (w *world) want() wanted {
	w.t.Helper()
	out := wanted{events: map[string]string{}, minute: totals{}, hour: totals{}, day: totals{}, balances: map[string]string{}}
	state := ledger.New()
	for i, chunk := range w.all {
		m, err := w.streams.Ledger.GetMsg(context.Background(), uint64(i+1))
		if err != nil {
			w.t.Fatal(err)
		}
		before := out.postings
		if w.withheld(m.Subject, m.Sequence) {
			chunk = events.Chunk{}
		}
		for j, e := range chunk.Entries {
			_, postings := state.Apply(ledger.Point{Sequence: m.Sequence, Index: j, Time: m.Time.UTC().Truncate(time.Microsecond)}, e, nil)
			out.postings += uint64(len(postings))
			for _, p := range postings {
				out.granted += int64(p.Granted)
				out.expired += int64(p.Expired)
				if p.Refused != "" {
					out.refusals++
				}
			}
			if e.Kind == events.EntryDebit && e.Debit.Amount <= events.MaxCredits {
				out.addDebit(e.Account, *e.Debit, m.Sequence)
			}
			if c := e.Correction; c != nil && postings[len(postings)-1].Refused == "" {
				out.corrections++
				if c.Was != nil {
					out.addUsage(e.Account, *c.Was, -1, -c.Was.Amount)
				}
				if c.Now != nil {
					out.addUsage(e.Account, *c.Now, 1, c.Now.Amount)
				}
			}
		}
		if out.postings == before {
			out.nothing++
		}
	}
	for account := range state.Accounts() {
		b, _ := state.Balance(account)
		out.balances[account] = fmt.Sprint(int64(b.Available), int64(b.Overage), int64(b.Remaining))
	}
	return out
}

// withheld reports whether a message has no rows, because of one before it.
func (w *world) withheld(subject string, sequence uint64) bool {
	for _, partition := range []string{strings.Split(subject, ".")[1], events.Broadcast} {
		if at := w.stopped[partition]; at > 0 && sequence >= at {
			return true
		}
	}
	return false
}

// addUsage adds to the sums of usage.
func (out *wanted) addUsage(account string, d events.Debit, calls int64, amount events.Credits) {
	t := booked(d.Time)
	minute, hour, day := t.Format("2006-01-02 15:04:00"), t.Format("2006-01-02 15:00:00"), t.Format("2006-01-02")
	out.minute.add(minute+"|"+d.Data.Operation, calls, amount)
	out.hour.add(account+"|"+hour, calls, amount)
	out.day.add(account+"|"+day+"|"+d.Data.Operation+"|"+d.Data.Project+"|"+d.Data.Key, calls, amount)
}

// booked is the nearest time that ClickHouse can compute with.
func booked(t time.Time) time.Time {
	if t.Year() < 1900 {
		return time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}

func (out *wanted) addDebit(account string, d events.Debit, sequence uint64) {
	out.usage++
	t := booked(d.Time)
	out.addUsage(account, d, 1, d.Amount)
	out.events[d.Source+"|"+d.ID] = fmt.Sprint(account, " ", t.UnixMicro(), " ", d.Data.Operation, " ", d.Data.Status, " ",
		d.Data.Quantities["bytes"], " ", d.Data.Quantities["tiny"], " ", d.Data.Quantities["huge"], " ", d.Data.Attributes["a"], " ",
		int64(d.Amount), " ", d.Position.Sequence, " ", d.Position.Index, " ", sequence)
}

// check compares every table with what it must hold.
func (w *world) check(dsn string) {
	w.t.Helper()
	want, conn := w.want(), enginetest.Connect(w.t, dsn)
	if want.refusals == 0 || want.nothing == 0 || want.expired == 0 || want.corrections == 0 {
		w.t.Errorf("the random ledger is too tame: %d refusals, %d empty messages, %d expired, %d corrections", want.refusals, want.nothing, want.expired, want.corrections)
	}
	var rows, usage, nothing uint64
	var granted, expired int64
	scan(w.t, conn, "SELECT countIf(kind != 'none'), countIf(kind = 'none'), sum(granted_uc), sum(expired_uc) FROM ledger", &rows, &nothing, &granted, &expired)
	scan(w.t, conn, "SELECT count() FROM usage_events", &usage)
	if rows != want.postings || usage != want.usage || int(nothing) != want.nothing || granted != want.granted || expired != want.expired {
		w.t.Errorf("%d postings, %d usage events, %d empty messages, %d granted, %d expired; want %d, %d, %d, %d, %d", rows, usage, nothing,
			granted, expired, want.postings, want.usage, want.nothing, want.granted, want.expired)
	}
	for _, c := range []struct {
		name, query string
		want        totals
	}{
		{"usage_by_minute", "SELECT concat(toString(minute), '|', operation), sum(calls), sum(charged_uc) FROM usage_by_minute GROUP BY 1", want.minute},
		{"usage_by_hour", "SELECT concat(account, '|', toString(hour)), sum(calls), sum(charged_uc) FROM usage_by_hour GROUP BY 1", want.hour},
		{"usage_by_day", "SELECT concat(account, '|', toString(day), '|', operation, '|', project, '|', key), sum(calls), sum(charged_uc) FROM usage_by_day GROUP BY 1", want.day},
	} {
		if diff := cmp.Diff(c.want, readTotals(w.t, conn, c.query)); diff != "" {
			w.t.Errorf("table %s (-want +got):\n%s", c.name, clipped(diff))
		}
	}
	if diff := cmp.Diff(want.events, readTexts(w.t, conn, `SELECT concat(source, '|', id), concat(account, ' ', toString(toUnixTimestamp64Micro(time)), ' ',
		operation, ' ', toString(status), ' ', toString(quantities['bytes']), ' ', toString(quantities['tiny']), ' ', toString(quantities['huge']), ' ',
		attributes['a'], ' ', toString(amount_uc), ' ', toString(usage_seq), ' ', toString(usage_index), ' ', toString(ledger_seq)) FROM usage_events`)); diff != "" {
		w.t.Errorf("table usage_events (-want +got):\n%s", clipped(diff))
	}
	if diff := cmp.Diff(want.balances, readTexts(w.t, conn,
		"SELECT account, concat(toString(available_uc), ' ', toString(overage_uc), ' ', toString(remaining_uc)) FROM balances FINAL")); diff != "" {
		w.t.Errorf("table balances (-want +got):\n%s", clipped(diff))
	}
	found := slices.DeleteFunc(reconcile(w.t, conn), func(text string) bool { return strings.HasPrefix(text, "stopped partition: ") })
	if len(found) > 0 {
		w.t.Errorf("reconciliation finds %d disagreements, such as %v", len(found), found[0])
	}
	if all := reconcile(w.t, conn); len(all) != len(w.stopped) {
		w.t.Errorf("reconciliation tells of %v; want %d stopped partitions", all, len(w.stopped))
	}
}

func clipped(s string) string { return s[:min(len(s), 1500)] }
