package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

// analyse opens ClickHouse for a gateway and for the world's projection.
func analyse(t *testing.T, dsn string) *analytics.DB {
	t.Helper()
	db, err := analytics.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// projectHistory runs the real projection into ClickHouse.
func (w *world) projectHistory(dsn string) {
	w.t.Helper()
	streams, err := stream.Open(w.t.Context(), w.js)
	w.ok(err)
	broker, err := stream.NewBroker(w.js.Conn())
	w.ok(err)
	p, err := clickhouse.New(clickhouse.Config{
		DSN: dsn, Broker: broker, Installation: streams.Installation, Partitions: streams.Partitions, FlushEvery: time.Millisecond,
	})
	w.ok(err)
	w.run("project history", p.Run)
}

func TestHistoryIsAnsweredFromClickHouse(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	w := start(t, func(c *gateway.Config) { c.Analytics = analyse(t, dsn) }).project().rate()
	w.projectHistory(dsn)
	w.call("PUT", "/v1/ratecards/default", card("default", "1.5")).want(201)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"10"}`).want(201)
	w.call("POST", "/v1/events", event(), "Content-Type", structured).want(202)

	w.until("the charge is readable", func() bool {
		page := w.call("GET", "/v1/accounts/acme/ledger", "")
		return page.status == http.StatusOK && len(decode[analytics.Page](page).Postings) == 2
	})
	explained := w.call("GET", "/v1/explain?source=/api&id=1", "").want(200)
	if charge := decode[explain.Explanation](explained).Charge; charge == nil || charge.Amount.String() != "1.5" {
		t.Errorf("explained %s", explained.body)
	}
	page := decode[analytics.Page](w.call("GET", "/v1/accounts/acme/ledger", "").want(200))
	if len(page.Postings) != 2 || page.Postings[0].Kind != "debit" || page.Postings[1].Kind != "grant" {
		t.Errorf("ledger %+v; want the debit, then the grant", page.Postings)
	}
	usage := decode[gateway.UsageGroups](w.call("GET", "/v1/accounts/acme/usage", "").want(200))
	if len(usage.Groups) != 1 || usage.Groups[0].Group != "GET /" || usage.Groups[0].Charged.String() != "1.5" {
		t.Errorf("usage %+v", usage)
	}
	for path, status := range map[string]int{
		"/v1/accounts/nobody/ledger": 404, "/v1/accounts/nobody/usage": 404,
		"/v1/accounts/acme/usage?from=2100-01-01T00:00:00Z": 200, "/v1/accounts/acme/ledger?cursor=1": 200,
	} {
		w.call("GET", path, "").want(status)
	}
	if ready := decode[gateway.Health](w.call("GET", "/readyz", "").want(200)); ready.Status != "ok" {
		t.Errorf("readiness %+v", ready)
	}
}

func TestHistoryIs503WhileClickHouseIsDownAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.Analytics = analyse(t, "clickhouse://127.0.0.1:1/none") }).project()
	for _, path := range []string{"/v1/accounts/acme/ledger", "/v1/accounts/acme/usage", "/v1/explain?source=/api&id=1"} {
		w.call("GET", path, "").want(503)
	}
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"10"}`).want(201)
	w.call("POST", "/v1/events", event(), "Content-Type", structured).want(202)
	if ready := decode[gateway.Health](w.call("GET", "/readyz", "").want(200)); ready.Status != "degraded" {
		t.Errorf("readiness %+v", ready)
	}
}
