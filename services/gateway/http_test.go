package gateway_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, c := range map[string]struct {
		method, path, body, contentType string
		status                          int
	}{
		"no such route":                 {"GET", "/v1/nothing", "", "", 404},
		"no such route outside /v1":     {"GET", "/nothing", "", "", 404},
		"method not allowed":            {"DELETE", "/v1/plans/pro", "", "", 405},
		"account is no account":         {"GET", "/v1/accounts/a.b/balance", "", "", 422},
		"account is too long":           {"GET", "/v1/accounts/" + strings.Repeat("a", 65), "", "", 422},
		"unknown parameter":             {"GET", "/v1/accounts?size=3", "", "", 422},
		"limit below its bound":         {"GET", "/v1/accounts?limit=0", "", "", 422},
		"limit above its bound":         {"GET", "/v1/accounts?limit=1001", "", "", 422},
		"limit is no number":            {"GET", "/v1/accounts?limit=many", "", "", 422},
		"no such plan":                  {"GET", "/v1/plans/none", "", "", 404},
		"no such rate card":             {"GET", "/v1/ratecards/none", "", "", 404},
		"no such version":               {"GET", "/v1/ratecards/none?version=3", "", "", 404},
		"no versions":                   {"GET", "/v1/ratecards/none/versions", "", "", 404},
		"no such account":               {"GET", "/v1/accounts/none", "", "", 404},
		"no such balance":               {"GET", "/v1/accounts/none/balance", "", "", 404},
		"balance before its entries":    {"GET", "/v1/accounts/none/balance?at=2026-01-01T00:00:00Z", "", "", 404},
		"no grants":                     {"GET", "/v1/accounts/none/grants", "", "", 404},
		"no such dead letter":           {"GET", "/v1/deadletters/1", "", "", 404},
		"dead letter is no number":      {"GET", "/v1/deadletters/x", "", "", 422},
		"ledger without ClickHouse":     {"GET", "/v1/accounts/a/ledger", "", "", 503},
		"usage without ClickHouse":      {"GET", "/v1/accounts/a/usage", "", "", 503},
		"usage by what does not exist":  {"GET", "/v1/accounts/a/usage?group_by=colour", "", "", 422},
		"usage of an empty time":        {"GET", "/v1/accounts/a/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "", "", 422},
		"explain without ClickHouse":    {"GET", "/v1/explain?source=a&id=b", "", "", 503},
		"explain without id":            {"GET", "/v1/explain?source=a", "", "", 422},
		"plan that is no plan":          {"PUT", "/v1/plans/pro", "plan: pro\ncolour: red\n", "application/yaml", 422},
		"plan that is no YAML":          {"PUT", "/v1/plans/pro", "plan: [", "application/yaml", 422},
		"plan of another name":          {"PUT", "/v1/plans/pro", `{"plan":"free"}`, "application/json", 422},
		"plan without a body":           {"PUT", "/v1/plans/pro", "", "application/json", 400},
		"plan as a form":                {"PUT", "/v1/plans/pro", "plan=pro", "application/x-www-form-urlencoded", 415},
		"plan over its bound":           {"PUT", "/v1/plans/pro", strings.Repeat("#", 200<<10), "application/yaml", 413},
		"card of another name":          {"PUT", "/v1/ratecards/a", card("b", "1"), "application/yaml", 422},
		"account of another name":       {"PUT", "/v1/accounts/a", `{"id":"b"}`, "application/json", 422},
		"grant that is no JSON":         {"POST", "/v1/accounts/a/grants", "hello", "application/json", 400},
		"grant with a repeated field":   {"POST", "/v1/accounts/a/grants", `{"id":"g","id":"g","amount":"1"}`, "application/json", 400},
		"grant with an unknown field":   {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","rollover":{}}`, "application/json", 422},
		"grant of a number":             {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":1}`, "application/json", 422},
		"grant of nothing":              {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"0"}`, "application/json", 422},
		"grant of less":                 {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"-1"}`, "application/json", 422},
		"grant of 7 places":             {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"0.0000001"}`, "application/json", 422},
		"grant of too much":             {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1000000001"}`, "application/json", 422},
		"grant without id":              {"POST", "/v1/accounts/a/grants", `{"amount":"1"}`, "application/json", 422},
		"grant of an unknown source":    {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","source":"gift"}`, "application/json", 422},
		"grant of priority 256":         {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","priority":256}`, "application/json", 422},
		"grant that ends first":         {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","effective_at":"2027-01-02T00:00:00Z","expires_at":"2027-01-01T00:00:00Z"}`, "application/json", 422},
		"grant of an odd currency":      {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","cost_basis":{"currency":"usd","price":"1"}}`, "application/json", 422},
		"grant with a long note":        {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","note":"` + strings.Repeat("x", 513) + `"}`, "application/json", 422},
		"grant in YAML":                 {"POST", "/v1/accounts/a/grants", `id: g`, "application/yaml", 415},
		"void without account":          {"POST", "/v1/grants/g/void", `{}`, "application/json", 422},
		"void with a long reason":       {"POST", "/v1/grants/g/void", `{"account":"a","reason":"` + strings.Repeat("x", 513) + `"}`, "application/json", 422},
		"void of what is no grant":      {"POST", "/v1/grants/a%20b/void", `{"account":"a"}`, "application/json", 422},
		"hold of nothing":               {"POST", "/v1/accounts/a/holds", `{"id":"h","amount":"0"}`, "application/json", 422},
		"hold without id":               {"POST", "/v1/accounts/a/holds", `{"amount":"1"}`, "application/json", 422},
		"hold for no time":              {"POST", "/v1/accounts/a/holds", `{"id":"h","amount":"1","expires_in":"0s"}`, "application/json", 422},
		"hold for two days":             {"POST", "/v1/accounts/a/holds", `{"id":"h","amount":"1","expires_in":"48h"}`, "application/json", 422},
		"hold for seconds as a number":  {"POST", "/v1/accounts/a/holds", `{"id":"h","amount":"1","expires_in":60}`, "application/json", 422},
		"hold with an unknown field":    {"POST", "/v1/accounts/a/holds", `{"id":"h","amount":"1","expires":"1m"}`, "application/json", 422},
		"hold that is not JSON":         {"POST", "/v1/accounts/a/holds", `{`, "application/json", 400},
		"capture of nothing":            {"POST", "/v1/holds/h/capture", `{"account":"a","amount":"0"}`, "application/json", 422},
		"capture without account":       {"POST", "/v1/holds/h/capture", `{"amount":"1"}`, "application/json", 422},
		"capture of what is no hold":    {"POST", "/v1/holds/a%20b/capture", `{"account":"a","amount":"1"}`, "application/json", 422},
		"release without account":       {"POST", "/v1/holds/h/release", `{}`, "application/json", 422},
		"replay of nothing":             {"POST", "/v1/deadletters/replay", `{}`, "application/json", 422},
		"replay of two things":          {"POST", "/v1/deadletters/replay", `{"all":true,"reason":"unratable"}`, "application/json", 422},
		"signals of no kind":            {"GET", "/v1/signals?kind=bogus", "", "", 422},
		"balance before the ledger":     {"GET", "/v1/accounts/a/balance?sequence=0", "", "", 422},
		"grant as of a plan":            {"POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1","source":"plan"}`, "application/json", 422},
		"signals behind no event":       {"GET", "/v1/signals?kind=LOW", "", "", 422},
		"signals of what is no account": {"GET", "/v1/signals?account=*", "", "", 422},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(c.method, c.path, c.body, "Content-Type", c.contentType)
			a.want(c.status)
			if c.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	info, err := w.streams.Ledger.Info(t.Context())
	w.ok(err)
	if info.State.Msgs != 0 {
		t.Errorf("bad requests left %d messages in the ledger", info.State.Msgs)
	}
}

func TestABrokenDocumentIsRefusedWithEachFaultAndItsLine(t *testing.T) {
	t.Parallel()
	w := start(t)
	body := "card: default\nrules:\n  - name: all\n    price: {flat: \"-1\"}\n  - name: more\n    price: {gradual: {}}\n"
	p := w.call("PUT", "/v1/ratecards/default", body, "Content-Type", "application/yaml").want(422).problem()
	if len(p.Errors) != 2 || p.Errors[0].Line != 4 || p.Errors[1].Line != 6 || p.Errors[0].Column == 0 ||
		p.Errors[0].Path != "/rules/0/price/flat" || p.Errors[0].Detail == "" {
		t.Errorf("errors %+v; want those of lines 4 and 6", p.Errors)
	}
}

func TestCallsUnderV1NeedTheKey(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.APIKey = "secret" })
	w.key = ""
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer secre", "Bearer secrets", "Basic secret", "secret"} {
		for _, path := range []string{"/v1/plans", "/v1/nothing", "/v1/signals", "/v1"} {
			a := w.call("GET", path, "", "Authorization", authorization).want(http.StatusUnauthorized)
			if a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		}
		w.call("POST", "/v1/events", event(), "Content-Type", structured, "Authorization", authorization).want(http.StatusUnauthorized)
	}
	if len(w.stored()) != 0 {
		t.Error("an event without the key is stored")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"} {
		w.call("GET", path, "").want(http.StatusOK)
	}
	for _, authorization := range []string{"Bearer secret", "bearer secret"} {
		w.call("GET", "/v1/plans", "", "Authorization", authorization).want(http.StatusOK)
	}
}

func TestAnswersSayWhatWasFoundAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.APIKey = "secret" })
	for body, want := range map[string]string{
		`{}`:                                              `/id: absent; expected a string, /amount: absent; expected credits as a string such as "12.5"`,
		`{"id":"g","amount":5}`:                           `/amount: found 5; expected credits as a string such as "12.5"`,
		`{"id":"g","amount":"five"}`:                      `/amount: credits "five": expected a decimal such as "12.5"`,
		`{"id":"g","amount":"0.0000001"}`:                 `/amount: credits "0.0000001": expected at most 6 decimal places`,
		`{"id":"g","amount":"99999999999999"}`:            `/amount: credits "99999999999999": expected at most 1000000000`,
		`{"id":"g","amount":"1","priority":256}`:          `/priority: found 256; expected a whole number from 0 to 255`,
		`{"id":"g","amount":"1","priority":"1"}`:          `/priority: found "1"; expected a whole number from 0 to 255`,
		`{"id":7,"amount":"1"}`:                           `/id: found 7; expected a string`,
		`{"id":"g","amount":"1","expires_at":"tomorrow"}`: `/expires_at: found "tomorrow"; expected a time such as "2026-12-01T12:00:00Z"`,
		`{"id":"g","amount":"1","rollover":"all"}`:        `/rollover: found "all"; expected an object`,
		`{"id":"g","amount":"1","source":"plan"}`:         `/source: found "plan"; expected prepaid, promo, top_up or adjustment`,
	} {
		var told []string
		for _, f := range w.call("POST", "/v1/accounts/a/grants", body).want(422).problem().Errors {
			told = append(told, f.Path+": "+f.Detail)
		}
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", body, got, want)
		}
	}
	hold := w.call("POST", "/v1/accounts/a/holds", `{"id":"h","amount":"1","expires_in":"0s"}`).want(422).problem()
	if len(hold.Errors) != 1 || hold.Errors[0].Path != "/expires_in" || !strings.Contains(hold.Errors[0].Detail, "above 0") {
		t.Errorf("a hold for no time: %+v", hold)
	}
	account := w.call("GET", "/v1/accounts/bad%20account/balance", "").want(422).problem()
	if account.Detail != "the request is not valid" || len(account.Errors) != 1 ||
		account.Errors[0].Detail != `found "bad account"; expected an account: 1 to 64 of A–Z a–z 0–9 _ -` {
		t.Errorf("what is no account: %+v", account)
	}
	w.key = "other"
	if p := w.call("GET", "/v1/plans", "").want(401).problem(); p.Detail != "the API key is not the gateway's" {
		t.Errorf("another key: %s", p.Detail)
	}
}

func TestTheOpenAPIDocumentListsEveryCall(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.Version = "1.2.3" })
	document := decode[struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]json.RawMessage
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Type any }
			}
		}
	}](w.call("GET", "/openapi.json", "").want(200))
	if !strings.HasPrefix(document.OpenAPI, "3.1") || document.Info.Version != "1.2.3" {
		t.Errorf("OpenAPI %s of version %s", document.OpenAPI, document.Info.Version)
	}
	var got []string
	for path, methods := range document.Paths {
		for method, operation := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
			if strings.HasPrefix(path, "/v1/") != (len(operation.Security) > 0) {
				t.Errorf("%s %s: security %v", method, path, operation.Security)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"GET /healthz", "GET /metrics", "GET /readyz", "GET /v1/accounts", "GET /v1/accounts/{id}", "GET /v1/accounts/{id}/balance",
		"GET /v1/accounts/{id}/grants", "GET /v1/accounts/{id}/holds", "GET /v1/accounts/{id}/ledger", "GET /v1/accounts/{id}/usage",
		"GET /v1/deadletters", "GET /v1/deadletters/{id}", "GET /v1/explain", "GET /v1/plans", "GET /v1/plans/{plan}",
		"GET /v1/ratecards", "GET /v1/ratecards/{card}", "GET /v1/ratecards/{card}/versions", "GET /v1/signals", "GET /v1/status",
		"POST /v1/accounts/{id}/adjustments", "POST /v1/accounts/{id}/grants", "POST /v1/accounts/{id}/holds",
		"POST /v1/accounts/{id}/topups/{topup}/decline", "POST /v1/amend", "POST /v1/deadletters/replay", "POST /v1/events", "POST /v1/grants/{grant}/void",
		"POST /v1/holds/{hold}/capture", "POST /v1/holds/{hold}/release", "POST /v1/ratecards/{card}/simulate", "POST /v1/void",
		"PUT /v1/accounts/{id}", "PUT /v1/plans/{plan}", "PUT /v1/ratecards/{card}",
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls\n%v\nwant\n%v", got, want)
	}
	if balance := document.Components.Schemas["Balance"]; balance.Properties["available"].Type != "string" {
		t.Errorf("credits are described as %v, want a string", balance.Properties["available"].Type)
	}
	page := string(w.call("GET", "/docs", "").want(200).body)
	for _, call := range want {
		if !strings.Contains(page, "<code>"+call+"</code>") {
			t.Errorf("the page of calls does not show %s", call)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "//") && strings.Contains(page, "src=") {
		t.Error("the page of calls loads something from elsewhere")
	}
}

func TestTheOpenAPIDocumentListsWhatCallsAnswerAndRefuse(t *testing.T) {
	t.Parallel()
	document := decode[struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]json.RawMessage }
		}
		Components struct {
			Schemas map[string]struct{ AdditionalProperties any }
		}
	}](start(t).call("GET", "/openapi.json", "").want(200))
	for call, want := range map[string]string{
		"get /v1/plans":                      "200 401 500 503",
		"get /v1/accounts/{id}/balance":      "200 401 404 422 500 503",
		"put /v1/accounts/{id}":              "200 400 401 404 408 413 415 422 500 503 504",
		"put /v1/ratecards/{card}":           "200 201 400 401 408 409 413 415 422 500 503 504",
		"post /v1/accounts/{id}/grants":      "200 201 400 401 408 409 413 415 422 500 503 504",
		"post /v1/accounts/{id}/adjustments": "200 201 400 401 408 409 413 415 422 500 503 504",
		"post /v1/accounts/{id}/holds":       "200 201 400 401 402 408 409 413 415 422 500 503 504",
		"post /v1/holds/{hold}/capture":      "200 400 401 404 408 409 413 415 422 500 503 504",
		"post /v1/void":                      "200 400 401 404 408 409 413 415 422 500 503 504",
	} {
		method, path, _ := strings.Cut(call, " ")
		responses := document.Paths[path][method].Responses
		statuses := slices.Sorted(maps.Keys(responses))
		if got := strings.Join(statuses, " "); got != want {
			t.Errorf("%s answers %s; want %s", call, got, want)
		}
		for _, status := range statuses {
			contentType := "application/problem+json"
			if status[0] == '2' {
				contentType = "application/json"
			}
			if len(responses[status].Content[contentType]) == 0 {
				t.Errorf("%s %s has no %s", call, status, contentType)
			}
		}
	}
	for _, strict := range []string{"Grant", "Hold", "Adjustment", "CaptureBody", "VoidBody", "AmendEvent"} {
		if more := document.Components.Schemas[strict].AdditionalProperties; more != false {
			t.Errorf("%s takes unknown fields: %v", strict, more)
		}
	}
}

func TestReadinessShowsAPartThatHasStopped(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) {
		c.Stopped = func() map[string]error { return map[string]error{"projection clickhouse": errors.New("out of step")} }
	})
	ready := decode[gateway.Health](w.call("GET", "/readyz", "").want(200))
	for _, c := range ready.Components {
		if c.Name == "projection clickhouse" && c.Status == "unavailable" && strings.Contains(c.Detail, "out of step") && ready.Status == "degraded" {
			return
		}
	}
	t.Errorf("readiness does not tell of it: %+v", ready)
}

func TestReadinessFollowsNATSAndHealthDoesNot(t *testing.T) {
	t.Parallel()
	w := start(t)
	ready := decode[gateway.Health](w.call("GET", "/readyz", "").want(200))
	if ready.Status != "degraded" { // there is no ClickHouse here
		t.Errorf("status %q, want degraded: %+v", ready.Status, ready)
	}
	for _, c := range ready.Components {
		if (c.Status == "ok") == (c.Name == "clickhouse") {
			t.Errorf("component %+v", c)
		}
	}
	w.server.Close()
	a := w.call("GET", "/readyz", "")
	if health := decode[gateway.Health](a); a.status != 503 || health.Status != "unavailable" {
		t.Errorf("without NATS: %d %s", a.status, a.body)
	}
	w.call("GET", "/healthz", "").want(200)
	w.call("GET", "/v1/accounts/a/balance", "").want(503)
	w.call("GET", "/v1/plans", "").want(503)
	w.call("POST", "/v1/accounts/a/grants", `{"id":"g","amount":"1"}`).want(503)
	w.call("GET", "/v1/signals", "").want(503)
	w.call("GET", "/v1/deadletters", "").want(503)
}

func TestRequestsAreCountedByRouteAndStatus(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.call("GET", "/v1/plans/a", "").want(404)
	w.call("GET", "/v1/plans/b", "").want(404)
	w.call("GET", "/v1/else", "").want(404)
	metrics := string(w.call("GET", "/metrics", "").want(200).body)
	for _, line := range []string{
		`drawdown_gateway_requests_total{route="GET /v1/plans/{plan}",status="404"} 2`,
		`drawdown_gateway_requests_total{route="none",status="404"} 1`,
		`drawdown_gateway_request_seconds_count{route="GET /v1/plans/{plan}"} 2`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics lack %s:\n%s", line, metrics)
		}
	}
}
