package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// flatCard charges every call 1; searchCard charges the first three of a billing
// period 5 and later ones 2, from noon on, and refuses other calls.
const (
	flatCard   = "card: default\nrules:\n  - {name: all, price: {flat: \"1\"}}\n"
	searchCard = "card: default\neffective_from: 2026-11-01T12:00:00Z\nrules:\n  - name: search\n    match: {operation: \"GET **\"}\n" +
		"    price: {graduated: {quantity: requests, tiers: [{up_to: \"3\", price: \"5\"}, {price: \"2\"}]}}\n"
	applyRetroactively = "/v1/ratecards/default?retroactive=true"
)

// repriced is an installation where usage is rated, corrected and amended.
func repriced(t *testing.T, configure ...func(*gateway.Config)) *world {
	t.Helper()
	w := start(t, append(configure, func(c *gateway.Config) { c.CompileRateCard = compile })...).project().rate()
	w.ok(stream.EnsureLeases(t.Context(), w.js, 1))
	w.call("PUT", "/v1/ratecards/default", flatCard).want(201)
	for _, account := range []string{"acme", neighbour("acme"), "ada", "zoe"} {
		w.call("POST", "/v1/accounts/"+account+"/grants", `{"id":"paid-`+account+`","amount":"20"}`).want(201)
	}
	return w
}

// search sends calls of an account that happened so long after noon.
func (w *world) search(account, id string, after time.Duration) {
	w.t.Helper()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Add(after).Format(time.RFC3339)
	w.call("POST", "/v1/events", event("id", `"`+id+`"`, "subject", `"`+account+`"`, "time", `"`+at+`"`, "data", `{"operation":"GET /search"}`), "Content-Type", structured).want(202)
}

func TestACardIsRefusedFromATimeThatWasChargedAlready(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	db := analyse(t, dsn)
	w := repriced(t, func(c *gateway.Config) { c.Analytics = db })
	w.projectHistory(dsn)
	w.search("acme", "before", -time.Second)
	w.search("acme", "1", time.Minute)
	w.search("acme", "2", 0)
	w.untilCharged("acme", "3")
	w.until("ClickHouse has the last charge", func() bool {
		_, err := db.Explain(t.Context(), "/api", "2")
		return err == nil
	})
	from := func(at string) string { return strings.Replace(searchCard, "2026-11-01T12:00:00Z", at, 1) }
	for source, other := range map[string]*world{
		"ClickHouse and the ledger": w,
		"the ledger":                w.beside(t, nil),
		"the ledger, because ClickHouse does not answer": w.beside(t, analyse(t, "clickhouse://127.0.0.1:1/none")),
	} {
		p := other.call("PUT", "/v1/ratecards/default", searchCard).want(409).problem()
		want := "2 events that happened from 2026-11-01T12:00:00Z on were charged by another version of rate card default, the first at 2026-11-01T12:00:00Z (according to " + source + "); "
		if !strings.HasPrefix(p.Detail, want) || !strings.Contains(p.Detail, "--retroactive") || p.Errors[0].Code != "used" || p.Errors[0].Path != "/effective_from" {
			t.Errorf("refused with %+v; want %s…", p, want)
		}
		other.call("PUT", "/v1/ratecards/default", flatCard).want(200)
	}
	w.call("PUT", "/v1/ratecards/default", from("2026-11-01T12:01:01Z")).want(201)
	w.call("PUT", "/v1/ratecards/default", from("2026-11-01T12:01:01Z")).want(200)
	if p := w.call("PUT", "/v1/ratecards/default", from("2026-11-01T11:00:00Z")).want(409).problem(); !strings.HasPrefix(p.Detail, "3 events") {
		t.Errorf("refused with %s", p.Detail)
	}
	w.call("PUT", applyRetroactively, flatCard).want(422)
}

func TestACardIsAppliedToPastUsage(t *testing.T) {
	t.Parallel()
	w := repriced(t)
	bob := neighbour("acme")
	w.search("acme", "before", -time.Second)
	for i := range 6 {
		w.search("acme", fmt.Sprint(i), time.Duration(6-i)*time.Second) // in no order of time
	}
	w.search(bob, "b", 0)
	w.call("POST", "/v1/events", event("id", `"post"`, "subject", `"`+bob+`"`, "data", `{"operation":"POST /"}`), "Content-Type", structured).want(202)
	w.untilCharged("acme", "7")
	w.untilCharged(bob, "2")
	w.void("1").want(200)
	w.correct("acme", "2", func(d events.Debit) *events.Debit {
		d.Data.Quantities = map[string]events.Quantity{"requests": events.WholeQuantity(2)}
		return &d
	})
	got := decode[gateway.CardDecision](w.call("PUT", applyRetroactively, searchCard).want(201))
	r := got.Retroactive
	// 0 is the first, 2 two more, then 3, 4 and 5 at the price of later ones.
	told := fmt.Sprintf("version %d: %d looked at, %d void, %d amended from %s to %s, %d kept: %s %s", got.Version, r.Events, r.Void, r.Amended, r.Was, r.Now, r.Kept, r.Examples[0].ID, r.Examples[0].Reason)
	want := "version 2: 7 looked at, 1 void, 6 amended from 6 to 26, 1 kept: post rate card default version 2: no rule matches"
	if told != want {
		t.Errorf("told %s; want %s", told, want)
	}
	w.untilCharged("acme", "22") // 1 before, 5 + 10 + 2 + 2 + 2
	w.untilCharged(bob, "6")
	corrections := len(w.corrections())
	again := decode[gateway.CardDecision](w.call("PUT", applyRetroactively, searchCard).want(200))
	if again.Version != 2 || again.Retroactive.Amended != 0 || len(w.corrections()) != corrections {
		t.Errorf("applied again: %+v; %d corrections, want %d", again.Retroactive, len(w.corrections()), corrections)
	}
	w.call("PUT", "/v1/ratecards/default", searchCard).want(200) // which is the latest version already
	w.search("acme", "next", time.Minute)
	w.search(bob, "next-b", time.Minute)
	w.untilCharged("acme", "24")
	w.untilCharged(bob, "11")
}

// TestPastUsageIsAmendedOnce applies a card while usage comes, several times at
// once, and cut off in the middle: in the end every event is charged as the card
// alone would have charged it.
func TestPastUsageIsAmendedOnce(t *testing.T) {
	t.Parallel()
	w := repriced(t)
	accounts := []string{"acme", neighbour("acme"), "ada", "zoe"}
	const before, during = 40, 60
	send := func(from, to int) {
		for i := from; i < to; i++ {
			w.search(accounts[i%len(accounts)], fmt.Sprint(i), time.Duration(i)*time.Second)
		}
	}
	send(0, before)
	for _, account := range accounts {
		w.untilCharged(account, fmt.Sprint(before/len(accounts)))
	}
	cut, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { send(before, before+during) })
	working.Go(func() {
		request, err := http.NewRequestWithContext(cut, "PUT", w.url+applyRetroactively, strings.NewReader(searchCard))
		if err == nil {
			_, err = w.client.Do(request)
		}
		if err == nil {
			t.Error("the first was not cut off")
		}
	})
	w.until("some are amended", func() bool { return len(w.corrections()) > 5 })
	stop()
	var ended sync.Map
	for range 3 {
		working.Go(func() {
			a := w.call("PUT", applyRetroactively, searchCard)
			ended.Store(a.status, true)
			if a.status != 200 && a.status != 201 && !(a.status == 409 && a.problem().Errors[0].Code == "taken") {
				t.Errorf("applied with %d: %s", a.status, a.body)
			}
		})
	}
	working.Wait()
	w.until("it is applied by one", func() bool { return w.call("PUT", applyRetroactively, searchCard).status == 200 })
	for _, account := range accounts {
		w.untilCharged(account, fmt.Sprint(3*5+((before+during)/len(accounts)-3)*2))
	}
	if r := decode[gateway.CardDecision](w.call("PUT", applyRetroactively, searchCard).want(200)).Retroactive; r.Amended != 0 || r.Events != before+during {
		t.Errorf("once more: %+v", r)
	}
}
