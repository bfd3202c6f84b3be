package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

func TestABalanceOfThePastIsTheAnswerThatWasGivenThen(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	given := map[string]answer{} // by query
	for i := range 5 {
		w.call("POST", "/v1/accounts/acme/grants", fmt.Sprintf(`{"id":"g%d","amount":"1.5"}`, i)).want(201)
		w.call("POST", "/v1/accounts/other/grants", fmt.Sprintf(`{"id":"g%d","amount":"1"}`, i)).want(201)
		now := w.call("GET", "/v1/accounts/acme/balance", "").want(200)
		b := decode[events.Balance](now)
		given[fmt.Sprintf("sequence=%d", b.Sequence)] = now
		given[fmt.Sprintf("sequence=%d", b.Sequence+1)] = now // an entry of the other account
		given["at="+b.At.Format(time.RFC3339Nano)] = now
	}
	for query, want := range given {
		if got := w.call("GET", "/v1/accounts/acme/balance?"+query, "").want(200); string(got.body) != string(want.body) {
			t.Errorf("%s: %s\nwant %s", query, got.body, want.body)
		}
	}
	for query, status := range map[string]int{
		"sequence=1000":                           422, // ahead
		"at=2100-01-01T00:00:00Z":                 422,
		"at=2001-01-01T00:00:00Z":                 404, // before its first entry
		"at=yesterday":                            422,
		"sequence=-1":                             422,
		"sequence=1&at=" + "2026-11-01T00:00:00Z": 422,
	} {
		a := w.call("GET", "/v1/accounts/acme/balance?"+query, "").want(status)
		if p := a.problem(); status == 422 && (len(p.Errors) == 0 || !strings.Contains(p.Errors[0].Detail, "expected ")) {
			t.Errorf("%s: %+v does not say what was expected", query, p)
		}
	}
	w.call("GET", "/v1/accounts/nobody/balance?sequence=1", "").want(404)
}

func TestWhoAsksForItIsToldHowFarAnAnswerIs(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.ProgressEvery = time.Nanosecond }).project()
	for i := range 3 {
		w.call("POST", "/v1/accounts/acme/grants", fmt.Sprintf(`{"id":"g%d","amount":"1.5"}`, i)).want(201)
	}
	for asks, want := range map[string]string{"": "[]", "yes": "[1/3 2/3 3/3]"} {
		told := []string{}
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			if status == http.StatusProcessing {
				told = append(told, header.Get(gateway.HeaderProgress))
			}
			return nil
		}})
		request, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/accounts/acme/balance?sequence=3", nil)
		w.ok(err)
		request.Header.Set(gateway.HeaderProgress, asks)
		response, err := w.client.Do(request)
		w.ok(err)
		w.ok(response.Body.Close())
		if got := fmt.Sprint(told); got != want || response.StatusCode != 200 || response.Header.Get(gateway.HeaderProgress) != "" {
			t.Errorf("asked %q: told %s, want %s; status %d, header %v", asks, got, want, response.StatusCode, response.Header)
		}
	}
}
