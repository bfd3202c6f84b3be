package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

const chatCard = `
card: default
rules:
  - name: chat
    match: {operation: "POST /chat"}
    price: {flat: "0.01", per_unit: [{quantity: tokens, price: "0.1", per: "3"}]}
`

// chat is an event that chatCard rates at 0.01 + tokens / 3 × 0.1.
func chat(id, tokens string) string {
	return event("id", `"`+id+`"`, "data", `{"operation":"POST /chat","status":200,"project":"web","key":"k1","quantities":{"tokens":"`+tokens+`"},"attributes":{"model":"large"}}`)
}

// charge grants acme 5 + 20 credits and charges it three calls, of which the
// second empties the first grant, and the third is more than there is.
func (w *world) charge() {
	w.t.Helper()
	w.call("PUT", "/v1/ratecards/default", chatCard).want(201)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"trial","amount":"5","priority":1}`).want(201)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"paid","amount":"20"}`).want(201)
	charged := []string{"1.01", "8.353333", "41.696666"}
	for i, tokens := range []string{"30", "220", "1000"} {
		w.call("POST", "/v1/events", chat(fmt.Sprint(i+1), tokens), "Content-Type", structured).want(202)
		w.untilCharged("acme", charged[i])
	}
}

func query(t *testing.T, dsn, statement string) {
	t.Helper()
	if err := enginetest.Connect(t, dsn).Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestAChargeIsExplainedTheSameWhereverItIsFound(t *testing.T) {
	t.Parallel()
	full, behind := enginetest.Database(t), enginetest.Database(t)
	if err := clickhouse.Migrate(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	db := analyse(t, full)
	w := start(t, func(c *gateway.Config) { c.Analytics = db }).project().rate()
	w.projectHistory(full)
	w.charge()
	w.until("ClickHouse has the last charge", func() bool {
		_, err := db.Explain(t.Context(), "/api", "3")
		return err == nil
	})
	fromClickHouse := w.call("GET", "/v1/explain?source=/api&id=2", "").want(200)

	got := decode[explain.Explanation](fromClickHouse)
	c := got.Charge
	if c == nil || got.Status != explain.Charged || c.Ledger.Sequence == 0 || c.Ledger.Posting != 4 || c.Ledger.RecordedAt.IsZero() || got.Event.Usage.Sequence != 2 {
		t.Fatalf("explained %s", fromClickHouse.body)
	}
	told := fmt.Sprintf("%s by %s of %s/%d: %s %q %s; %+v, uncovered %s; %s/%s → %s/%s; %s", c.Amount, c.Rule, c.Card, c.Version, c.Arithmetic, c.Terms, c.Rounding,
		c.Draws, c.Uncovered, c.Before.Available, c.Before.Overage, c.After.Available, c.After.Overage, c.Definition.Match.Operation)
	want := `7.343333 by chat of default/1: 0.01 + 220 / 3 × 0.1 = 7.343333333333333333… → 7.343333 (half_up) ["0.01" "220 / 3 × 0.1"] half_up; ` +
		`[{Grant:trial Amount:3.99 Left:0} {Grant:paid Amount:3.353333 Left:16.646667}], uncovered 0; 23.99/0 → 16.646667/0; POST /chat`
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
	event := fmt.Sprint(got.Event.Account, got.Event.Data.Operation, got.Event.Data.Status, got.Event.Data.Project, got.Event.Data.Key, got.Event.Data.Attributes["model"], got.Event.Data.Quantity("tokens"))
	if want := "acmePOST /chat200webk1large220"; event != want {
		t.Errorf("event %s, want %s", event, want)
	}
	third := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=3", "").want(200)).Charge
	if third.Uncovered.String() != "16.696666" || third.After.Overage != third.Uncovered || third.Before.Overage != 0 {
		t.Errorf("the call that was not covered: %+v", third)
	}

	for name, c := range map[string]struct {
		analytics gateway.Analytics
		query     string
	}{
		"by ClickHouse, of its account":                    {db, "&account=acme"},
		"behind what ClickHouse holds":                     {analyse(t, behind), ""},
		"behind what ClickHouse holds, of its account":     {analyse(t, behind), "&account=acme"},
		"without ClickHouse, of its account":               {nil, "&account=acme"},
		"while ClickHouse does not answer, of its account": {analyse(t, "clickhouse://127.0.0.1:1/none"), "&account=acme"},
	} {
		t.Run(name, func(t *testing.T) {
			other := w.beside(t, c.analytics)
			if got := other.call("GET", "/v1/explain?source=/api&id=2"+c.query, "").want(200); string(got.body) != string(fromClickHouse.body) {
				t.Errorf("explained\n%s\nwant\n%s", got.body, fromClickHouse.body)
			}
		})
	}

	for name, alter := range map[string]string{
		"has another amount than the ledger": "charged_uc = 1",
		"has it where the ledger has not":    "entry_index = 7",
	} {
		query(t, full, "ALTER TABLE ledger UPDATE "+alter+" WHERE event_id = '2' SETTINGS mutations_sync = 1")
		if got := w.call("GET", "/v1/explain?source=/api&id=2", "").want(200); string(got.body) != string(fromClickHouse.body) {
			t.Errorf("ClickHouse %s: explained\n%s\nwant\n%s", name, got.body, fromClickHouse.body)
		}
	}
}

// beside is another gateway on the same streams.
func (w *world) beside(t *testing.T, a gateway.Analytics) *world {
	t.Helper()
	other := &world{t: t, server: w.server, nc: w.nc, js: w.js, streams: w.streams, served: make(chan error, 1)}
	g, err := gateway.New(gateway.Config{NATS: w.nc, JetStream: w.js, Streams: w.streams, Emitter: w.emitter, Horizon: ages, Analytics: a, CompileRateCard: compile})
	other.ok(err)
	t.Cleanup(func() { _ = g.Close() })
	other.serve(g)
	return other
}

func TestAnEventThatIsNotChargedIsExplained(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	if err := clickhouse.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	w := start(t, func(c *gateway.Config) { c.Analytics = analyse(t, dsn) }).project()
	w.call("PUT", "/v1/ratecards/default", chatCard).want(201)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"10"}`).want(201)
	w.call("POST", "/v1/events", chat("1", "3"), "Content-Type", structured).want(202)
	w.call("POST", "/v1/events", event("id", `"2"`), "Content-Type", structured).want(202)

	bare := w.beside(t, nil)
	for _, from := range []*world{w, bare} {
		waits := decode[explain.Explanation](from.call("GET", "/v1/explain?source=/api&id=2", "").want(200))
		if waits.Status != explain.Pending || waits.Waiting == nil || waits.Waiting.Behind != 1 || waits.Waiting.Settled != 0 || waits.Event.Usage.Sequence != 2 || waits.Event.Account != "acme" {
			t.Errorf("an event that waits: %+v", waits)
		}
	}
	w.rate()
	w.untilCharged("acme", "0.11")
	var refused explain.Explanation
	w.until("the other event is refused", func() bool {
		refused = decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=2", "").want(200))
		return refused.Status == explain.Refused
	})
	d := refused.DeadLetter
	if d.Reason != events.CodeUnratable || !strings.Contains(d.Detail, "no rule matches") || d.RefusedAt.IsZero() || refused.Event.Data.Operation != "GET /" || refused.Event.Usage.Sequence != 2 {
		t.Errorf("a refused event: %+v, %+v", refused, d)
	}
	if want := fmt.Sprintf("drawdown deadletters replay %d", d.ID); d.Replay != want {
		t.Errorf("it is sent again by %q; want %q", d.Replay, want)
	}
	if unasked := decode[explain.Explanation](bare.call("GET", "/v1/explain?source=/api&id=2", "").want(200)); unasked.Status != explain.Refused {
		t.Errorf("without ClickHouse: %+v", unasked)
	}

	missing := w.call("GET", "/v1/explain?source=/api&id=none", "").want(404).problem().Detail
	for _, said := range []string{`"none"`, "ledger sequence", "newest 1 dead letters", "0 events that wait"} {
		if !strings.Contains(missing, said) {
			t.Errorf("the answer %q does not say %s", missing, said)
		}
	}
	if detail := bare.call("GET", "/v1/explain?source=/api&id=1", "").want(503).problem().Detail; !strings.Contains(detail, "account") {
		t.Errorf("the answer %q does not ask for the account", detail)
	}
	bare.call("GET", "/v1/explain?source=/api&id=1&account=ada", "").want(404)
	bare.call("GET", "/v1/explain?source=/api&id=1&account=acme", "").want(200)
}

func TestADebitThatTheFoldRefusesIsExplained(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	body, err := events.EncodeChunk(events.Chunk{
		Span: &events.Span{Through: events.Position{Sequence: 1}, Events: 1},
		Entries: []events.Entry{{Kind: events.EntryDebit, Account: "acme", Debit: &events.Debit{
			Source: "/api", ID: "1", Amount: events.MaxCredits + 1, Card: "default", Version: 1, Rule: "all", Arithmetic: "1", Data: events.UsageData{Operation: "GET /"},
		}}},
	})
	w.ok(err)
	_, err = w.js.Publish(t.Context(), events.LedgerSubject(events.Partition("acme", partitions), events.WriterUsage), body)
	w.ok(err)
	got := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=1&account=acme", "").want(200))
	if got.Status != explain.NotCharged || got.Charge.Refused != events.RefusedInvalid || got.Charge.After != (analytics.Standing{}) {
		t.Errorf("explained %+v, %+v", got, got.Charge)
	}
}
