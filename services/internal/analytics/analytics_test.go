package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

var (
	noon   = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	credit = events.MustCredits
)

func grant(account, id, amount string) events.Entry {
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &events.Grant{ID: id, Amount: credit(amount)}}
}

func debit(account, id, amount, operation, key string, at time.Time) events.Entry {
	return events.Entry{Kind: events.EntryDebit, Account: account, Debit: &events.Debit{
		Source: "/api", ID: id, Time: at, Amount: credit(amount), Card: "default", Version: 3, Rule: "chat", Arithmetic: "1 × 1 = 1",
		Position: events.Position{Sequence: 7, Index: 1},
		Data: events.UsageData{
			Operation: operation, Status: 201, Project: "web", Key: key,
			Quantities: map[string]events.Quantity{"tokens": events.MustQuantity("374.000000000001")}, Attributes: map[string]string{"model": "large"},
		},
	}}
}

// ledger is what every test reads: ada's credits come from two grants and do
// not suffice; bob's were never granted.
var ledger = []events.Entry{
	grant("ada", "first", "10"),
	grant("ada", "second", "5"),
	debit("ada", "e1", "4", "POST /chat", "k1", noon),
	debit("ada", "e2", "8.000001", "POST /chat", "k2", noon.Add(time.Hour)),
	debit("ada", "e3", "9", "GET /file", "k1", noon.Add(24*time.Hour)),
	debit("bob", "e4", "2", "GET /file", "k9", noon),
	debit("ada", "e5", "2000000000", "GET /file", "k1", noon), // more than any charge may be: refused
}

// open projects the ledger, and more behind it, into a database of t's and opens
// that.
func open(t *testing.T, dsn string, more ...events.Entry) *analytics.DB {
	t.Helper()
	ledger := slices.Concat(ledger, more)
	server := natstest.Run(t)
	js := server.JetStream()
	streams, broker := server.Installation(2)
	for _, e := range ledger {
		chunk, writer := events.Chunk{Entries: []events.Entry{e}}, events.WriterCommand
		if e.Kind == events.EntryDebit {
			writer = events.WriterUsage
			chunk.Span = &events.Span{Through: e.Debit.Position, Events: 1}
		}
		body, err := events.EncodeChunk(chunk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), events.LedgerSubject(events.Partition(e.Account, streams.Partitions), writer), body); err != nil {
			t.Fatal(err)
		}
	}
	p, err := clickhouse.New(clickhouse.Config{
		DSN: dsn, Broker: broker, Installation: streams.Installation, Partitions: streams.Partitions, FlushEvery: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	db, err := analytics.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); p.Status().Through < uint64(len(ledger)); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("the projection does not come: %+v", p.Status())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return db
}

func TestALedgerIsReadInPagesNewestFirst(t *testing.T) {
	t.Parallel()
	db := open(t, enginetest.Database(t))
	var seen []string
	pages := 0
	for cursor := uint64(0); cursor > 0 || pages == 0; pages++ {
		page, err := db.Ledger(t.Context(), "ada", cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Postings {
			seen = append(seen, fmt.Sprintf("%d %s %s%s +%s -%s =%s/%s", p.Number, p.Kind, p.Grant, p.Refused, p.Granted, p.Charged, p.Balance.Available, p.Balance.Overage))
		}
		cursor = page.Next
	}
	want := []string{
		"6 debit invalid +0 -0 =0/6.000001", "5 debit  +0 -9 =0/6.000001", "4 debit  +0 -8.000001 =2.999999/0",
		"3 debit  +0 -4 =11/0", "2 grant second +5 -0 =15/0", "1 grant first +10 -0 =10/0",
	}
	if diff := cmp.Diff(want, seen); diff != "" || pages != 3 {
		t.Errorf("%d pages, want 3; postings (-want +got):\n%s", pages, diff)
	}
	if page, err := db.Ledger(t.Context(), "nobody", 0, 0); err != nil || page.Postings == nil || len(page.Postings) > 0 {
		t.Errorf("an unknown account has %+v, %v; want no postings", page, err)
	}
}

func TestAnEventIsExplainedWithItsRuleItsGrantsAndTheBalanceAround(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	for protocol, dsn := range map[string]string{
		"native": e.NativeDSN(enginetest.NewDatabase(t, e)), "http": e.HTTPDSN(enginetest.NewDatabase(t, e)),
	} {
		t.Run(protocol, func(t *testing.T) {
			db := open(t, dsn)
			got, err := db.Explain(t.Context(), "/api", "e2")
			if err != nil {
				t.Fatal(err)
			}
			want := analytics.Charge{
				Posting: analytics.Posting{
					Account: "ada", Number: 4, Kind: "debit", Sequence: 4, Drawn: credit("8.000001"), Charged: credit("8.000001"),
					Draws: []analytics.Draw{{Grant: "first", Amount: credit("6")}, {Grant: "second", Amount: credit("2.000001"), Left: credit("2.999999")}},
					Event: &analytics.Event{
						Source: "/api", ID: "e2", Time: noon.Add(time.Hour), Operation: "POST /chat", Project: "web", Key: "k2",
						UsageSequence: 7, UsageIndex: 1, Card: "default", Version: 3, Rule: "chat", Arithmetic: "1 × 1 = 1",
					},
					Balance: analytics.Standing{Available: credit("2.999999"), Remaining: credit("2.999999")},
				},
				Before: analytics.Standing{Available: credit("11"), Remaining: credit("11")},
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(analytics.Posting{}, "At", "RecordedAt")); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
			if _, err := db.Explain(t.Context(), "/other", "e2"); !errors.Is(err, analytics.ErrNotFound) {
				t.Errorf("an unknown event: %v, want ErrNotFound", err)
			}
			if first, err := db.Explain(t.Context(), "/api", "e4"); err != nil || first.Before != (analytics.Standing{}) || first.Posting.Balance.Overage != credit("2") {
				t.Errorf("an account's first debit: %+v, %v", first, err)
			}
		})
	}
}

func TestUsageIsBrokenDown(t *testing.T) {
	t.Parallel()
	db := open(t, enginetest.Database(t))
	for name, c := range map[string]struct {
		from, to time.Time
		by       analytics.GroupBy
		want     string
	}{
		"into nothing":                    {want: `[{"calls":3,"charged":"21.000001"}]`},
		"by operation, the dearest first": {by: analytics.ByOperation, want: `[{"group":"POST /chat","calls":2,"charged":"12.000001"},{"group":"GET /file","calls":1,"charged":"9"}]`},
		"by project":                      {by: analytics.ByProject, want: `[{"group":"web","calls":3,"charged":"21.000001"}]`},
		"by key":                          {by: analytics.ByKey, want: `[{"group":"k1","calls":2,"charged":"13"},{"group":"k2","calls":1,"charged":"8.000001"}]`},
		"by hour, in order":               {by: analytics.ByHour, to: noon.Add(2 * time.Hour), want: `[{"group":"2026-05-06T12:00:00Z","calls":1,"charged":"4"},{"group":"2026-05-06T13:00:00Z","calls":1,"charged":"8.000001"}]`},
		"by day":                          {by: analytics.ByDay, want: `[{"group":"2026-05-06","calls":2,"charged":"12.000001"},{"group":"2026-05-07","calls":1,"charged":"9"}]`},
		"from a time, that included":      {from: noon.Add(time.Hour), want: `[{"calls":2,"charged":"17.000001"}]`},
		"to a time, that excluded":        {to: noon.Add(time.Hour), want: `[{"calls":1,"charged":"4"}]`},
		"into nothing, without calls":     {to: noon, want: `[{"calls":0,"charged":"0"}]`},
		"by day, without calls":           {to: noon, by: analytics.ByDay, want: `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := db.Usage(t.Context(), "ada", c.from, c.to, c.by)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(rows); string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	if _, err := db.Usage(t.Context(), "ada", time.Time{}, time.Time{}, "account; DROP"); !errors.Is(err, analytics.ErrGroupBy) {
		t.Errorf("an unknown group: %v, want ErrGroupBy", err)
	}
}

func TestPastUsageIsReadAsItCame(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	db := open(t, dsn)
	conn := enginetest.Connect(t, dsn)
	bare := `INSERT INTO usage_events (source, id, account, time, operation, ledger_seq, quantities, attributes)
		VALUES ('/api', 'e0', 'ada', '2026-05-06 11:00:00', 'GET /', 7, map('a', 1.5, 'b', 0, 'c', 2), map('empty', '', 'x', 'y z')), ('/api', 'e6', 'ada', '2026-05-08 11:00:00', 'GET /', 7, map(), map())`
	if err := conn.Exec(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	read := func(s analytics.Span) (all []string) {
		t.Helper()
		err := db.Events(t.Context(), s, func(u analytics.PastEvent) error {
			text, err := json.Marshal(u.Data)
			all = append(all, fmt.Sprintf("%s %s of %s at %s: %s for %s", u.Source, u.ID, u.Account, u.Time.Format(time.RFC3339), text, u.Charged))
			return err
		})
		if n, counted := db.CountEvents(t.Context(), s); err != nil || counted != nil || n != uint64(len(all)) {
			t.Errorf("%d events counted, %v; %d read, %v", n, counted, len(all), err)
		}
		return all
	}
	tokens := `"quantities":{"tokens":"374.000000000001"},"attributes":{"model":"large"}}`
	want := []string{
		`/api e0 of ada at 2026-05-06T11:00:00Z: {"operation":"GET /","quantities":{"a":"1.5","b":"0","c":"2"},"attributes":{"empty":"","x":"y z"}} for 0`,
		`/api e1 of ada at 2026-05-06T12:00:00Z: {"operation":"POST /chat","status":201,"project":"web","key":"k1",` + tokens + ` for 4`,
		`/api e2 of ada at 2026-05-06T13:00:00Z: {"operation":"POST /chat","status":201,"project":"web","key":"k2",` + tokens + ` for 8.000001`,
		`/api e3 of ada at 2026-05-07T12:00:00Z: {"operation":"GET /file","status":201,"project":"web","key":"k1",` + tokens + ` for 9`,
		`/api e6 of ada at 2026-05-08T11:00:00Z: {"operation":"GET /"} for 0`,
		`/api e4 of bob at 2026-05-06T12:00:00Z: {"operation":"GET /file","status":201,"project":"web","key":"k9",` + tokens + ` for 2`,
	}
	for name, c := range map[string]struct {
		span analytics.Span
		want []string
	}{
		"all":             {analytics.Span{Through: 7}, want},
		"of an account":   {analytics.Span{Account: "bob", Through: 7}, want[5:]},
		"since a time":    {analytics.Span{Account: "ada", Since: noon.Add(time.Hour), Through: 7}, want[2:5]},
		"up to a message": {analytics.Span{Account: "ada", Through: 4}, want[1:3]},
	} {
		if diff := cmp.Diff(c.want, read(c.span)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAccountsAndReconciliationFollowTheTables(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	db := open(t, dsn)
	accounts, err := db.Accounts(t.Context(), 7)
	if err != nil || len(accounts) != 2 {
		t.Fatalf("accounts %+v, %v; want two", accounts, err)
	}
	var total analytics.Account
	for _, a := range accounts {
		total.Granted, total.Drawn, total.Charged, total.Overage = total.Granted+a.Granted, total.Drawn+a.Drawn, total.Charged+a.Charged, total.Overage+a.Overage
	}
	if want := (analytics.Account{Granted: credit("15"), Drawn: credit("15"), Charged: credit("23.000001"), Overage: credit("8.000001")}); total != want {
		t.Errorf("all accounts together %+v; want %+v", total, want)
	}
	if none, err := db.Accounts(t.Context(), 0); err != nil || len(none) > 0 {
		t.Errorf("accounts before the first message: %v, %v; want none", none, err)
	}
	if through, err := db.ProjectedThrough(t.Context()); err != nil || through != 7 {
		t.Errorf("projected through %d, %v; want 7", through, err)
	}
	if found, err := db.Reconcile(t.Context()); err != nil || found == nil || len(found) > 0 {
		t.Errorf("reconciliation finds %v, %v; want nothing", found, err)
	}
	conn := enginetest.Connect(t, dsn)
	if err := conn.Exec(t.Context(), "DELETE FROM usage_by_hour WHERE account = 'bob'"); err != nil {
		t.Fatal(err)
	}
	found, err := db.Reconcile(t.Context())
	wrong := []analytics.Discrepancy{{Check: "usage_by_hour", Subject: "bob 2026-05-06 12:00:00", Expected: "1 calls, 2000000 uc", Found: "0 calls, 0 uc"}}
	if diff := cmp.Diff(wrong, found); err != nil || diff != "" {
		t.Errorf("error %v; discrepancies (-want +got):\n%s", err, diff)
	}
}

func TestAnEmptyDatabaseHasNothingAndAgrees(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	if err := clickhouse.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db, err := analytics.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := db.Accounts(t.Context(), 1); err != nil || len(got) > 0 {
		t.Errorf("accounts %+v, %v; want none", got, err)
	}
	if found, err := db.Reconcile(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("reconciliation finds %v, %v", found, err)
	}
	if through, err := db.ProjectedThrough(t.Context()); err != nil || through != 0 {
		t.Errorf("projected through %d, %v", through, err)
	}
}

func TestAViewShowsExactCredits(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	_ = open(t, dsn)
	conn := enginetest.Connect(t, dsn)
	for _, statement := range []string{ // 24 credits spent two hours ago, 100 left
		"INSERT INTO usage_by_hour SELECT 'cy', toStartOfHour(now('UTC')) - INTERVAL 2 HOUR, 1, 24000000",
		"INSERT INTO balances (account, account_seq, available_uc) VALUES ('cy', 1, 100000000)",
	} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"SELECT concat(account, ' ', toString(this_hour), ' ', toString(last_24_hours), ' ', toString(last_7_days), ' ', toString(per_hour > 0.95 AND per_hour <= 1)) FROM burn_rate": "cy 0 24 24 1",
		"SELECT concat(account, ' ', toString(available), ' ', toString(dateDiff('hour', now('UTC'), depletes_at) BETWEEN 99 AND 106)) FROM forecast":                                 "cy 100 1",
		"SELECT concat(toString(available), ' ', toString(overage), ' ', toString(charged)) FROM balance_at(at = '2100-01-01 00:00:00') WHERE account = 'ada'":                        "0 6.000001 21.000001",
		"SELECT toString(count()) FROM balance_at(at = '2000-01-01 00:00:00')":                                                                                                        "0",
		"SELECT concat(operation, ' ', toString(calls), ' ', toString(charged), ' ', toString(charged_per_call)) FROM top_operations LIMIT 1":                                         "POST /chat 2 12.000001 6",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\ngives %q, %v; want %q", query, got, err, want)
		}
	}
}
