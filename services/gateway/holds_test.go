package gateway_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
)

// ask sends a request over NATS.
func (w *world) ask(account, body string) answer {
	w.t.Helper()
	reply, err := w.nc.Request(events.HoldSubject(account), []byte(body), 10*time.Second)
	w.ok(err)
	return answerOf(w.t, reply)
}

func answerOf(t testing.TB, m *nats.Msg) answer {
	t.Helper()
	status, err := strconv.Atoi(m.Header.Get(events.HeaderStatus))
	if err != nil {
		t.Fatalf("the answer %s has no status: %v", m.Data, m.Header)
	}
	return answer{t: t, status: status, header: map[string][]string{"Content-Type": {"application/problem+json"}}, body: m.Data}
}

// doors are the two ways to ask about holds.
func doors(w *world) map[string]func(verb, hold, fields string, status int) answer {
	return map[string]func(verb, hold, fields string, status int) answer{
		"http": func(verb, hold, fields string, status int) answer {
			w.t.Helper()
			if verb == "hold" {
				return w.call("POST", "/v1/accounts/http/holds", `{"id":"`+hold+`"`+fields+`}`).want(status)
			}
			return w.call("POST", "/v1/holds/"+hold+"/"+verb, `{"account":"http"`+fields+`}`).want(status)
		},
		"nats": func(verb, hold, fields string, status int) answer {
			w.t.Helper()
			name := map[string]string{"hold": "id"}[verb]
			if name == "" {
				name = "hold"
			}
			return w.ask("nats", `{"`+verb+`":{"`+name+`":"`+hold+`"`+fields+`}}`).want(status)
		},
	}
}

func TestAHoldIsPlacedCapturedAndReleasedOverHTTPAndOverNATS(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	for account, door := range doors(w) {
		w.call("POST", "/v1/accounts/"+account+"/grants", `{"id":"g","amount":"10"}`).want(201)
		placed := decode[gateway.HoldDecision](door("hold", "h1", `,"amount":"6","expires_in":"1h","project":"web"`, 201))
		if placed.Outcome != events.Applied || placed.Account != account || placed.Hold.State != events.HoldOpen || placed.Hold.Project != "web" ||
			placed.Balance.Held != 6*events.Credit || placed.Balance.Available != 4*events.Credit || placed.Sequence == 0 {
			t.Errorf("placed %+v", placed)
		}
		again := decode[gateway.HoldDecision](door("hold", "h1", `,"amount":"6","expires_in":"60m","project":"web"`, 200))
		if again.Outcome != events.Unchanged || *again.Hold != *placed.Hold {
			t.Errorf("the same again: %+v", again)
		}
		door("hold", "h1", `,"amount":"5"`, 409)
		short := door("hold", "h2", `,"amount":"4.000001"`, 402).problem()
		want := gateway.Insufficiency{Account: account, Available: 4 * events.Credit, Required: events.MustCredits("4.000001"), Scope: "account", TopUp: "none"}
		if short.Insufficiency == nil || *short.Insufficiency != want || short.Type != "https://drawdown.example/problems/insufficient-credits" {
			t.Errorf("402 %+v with %+v; want %+v", short, short.Insufficiency, want)
		}
		door("hold", "h2", `,"amount":"4"`, 201)

		captured := decode[gateway.HoldDecision](door("capture", "h1", `,"amount":"2.5"`, 200))
		if captured.Outcome != events.Applied || captured.Hold.State != events.HoldCaptured || captured.Balance.Charged.String() != "2.5" || captured.Balance.Available.String() != "3.5" {
			t.Errorf("captured %+v", captured)
		}
		if again := decode[gateway.HoldDecision](door("capture", "h1", `,"amount":"2.5"`, 200)); again.Outcome != events.Unchanged {
			t.Errorf("captured again: %+v", again)
		}
		for verb, fields := range map[string]string{"capture": `,"amount":"3"`, "release": ""} {
			if p := door(verb, "h1", fields, 409).problem(); len(p.Errors) != 1 || p.Errors[0].Code != events.RefusedCaptured {
				t.Errorf("%s of a captured hold: %+v", verb, p)
			}
		}
		door("capture", "h2", `,"amount":"5"`, 422)
		list := decode[gateway.Holds](w.call("GET", "/v1/accounts/"+account+"/holds", "").want(200))
		if len(list.Holds) != 1 || list.Holds[0].ID != "h2" || list.Held != 4*events.Credit {
			t.Errorf("open are %+v", list)
		}
		door("release", "h2", "", 200)
		door("release", "h2", "", 200)
		door("release", "none", "", 404)
		balance := decode[events.Balance](w.call("GET", "/v1/accounts/"+account+"/balance", "").want(200))
		if balance.Held != 0 || balance.Available.String() != "7.5" || len(balance.Holds) != 0 {
			t.Errorf("balance %+v", balance)
		}
	}
}

func TestA402SaysWhenThereIsMore(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("PUT", "/v1/plans/daily", `{"plan":"daily","period":"day","grant":{"amount":"5"}}`).want(200)
	set := decode[gateway.AccountSettings](w.call("PUT", "/v1/accounts/acme", `{"plan":"daily"}`).want(200))
	w.call("POST", "/v1/accounts/acme/adjustments", `{"id":"a","amount":"-2","reason":"used"}`).want(201)
	p := w.call("POST", "/v1/accounts/acme/holds", `{"id":"h","amount":"5"}`).want(402).problem()
	if at := p.Insufficiency.ResetsAt; at == nil || !at.Equal(set.StartedAt.AddDate(0, 0, 1)) {
		t.Errorf("resets at %v; want a day after %v", at, set.StartedAt)
	}
	p = w.call("POST", "/v1/accounts/acme/holds", `{"id":"h","amount":"6"}`).want(402).problem()
	if at := p.Insufficiency.ResetsAt; at != nil {
		t.Errorf("resets at %v; there are never 6", at)
	}
}

func TestOfManyWhoWantTheLastCreditsAsManyGetThemAsThereAreCredits(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"7"}`).want(201)
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 40 {
		all.Go(func() {
			var status int
			if i%2 == 0 {
				status = w.call("POST", "/v1/accounts/acme/holds", fmt.Sprintf(`{"id":"h%d","amount":"1"}`, i)).status
			} else {
				status = w.ask("acme", fmt.Sprintf(`{"hold":{"id":"h%d","amount":"1"}}`, i)).status
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	if statuses[201] != 7 || statuses[402] != 33 {
		t.Errorf("40 holds of 1 of 7 credits were answered %v", statuses)
	}
}

func TestBadRequestsOverNATSAreAnsweredWithAProblem(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, c := range map[string]struct {
		account, body string
		status        int
	}{
		"not JSON":                  {"a", `x`, 400},
		"nothing":                   {"a", ``, 400},
		"no request":                {"a", `{}`, 422},
		"two requests":              {"a", `{"hold":{"id":"h","amount":"1"},"release":{"hold":"h"}}`, 422},
		"an unknown field":          {"a", `{"holds":{}}`, 422},
		"a hold of nothing":         {"a", `{"hold":{"id":"h"}}`, 422},
		"what is no hold":           {"a", `{"release":{"hold":"/"}}`, 422},
		"what cannot be an account": {"a!", `{"release":{"hold":"h"}}`, 422},
	} {
		t.Run(name, func(t *testing.T) { w.ask(c.account, c.body).want(c.status).problem() })
	}
	info, err := w.streams.Ledger.Info(t.Context())
	w.ok(err)
	if info.State.Msgs != 0 {
		t.Errorf("bad requests left %d messages in the ledger", info.State.Msgs)
	}
}

func TestAnAnswerOverNATSIsThatOfHTTP(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.DecisionTimeout = 20 * time.Millisecond })
	p := w.ask("acme", `{"release":{"hold":"h"}}`).want(504).problem()
	if p.LedgerSequence == 0 {
		t.Errorf("%+v does not say where the command is stored", p)
	}
	var fields map[string]any
	w.ok(json.Unmarshal(w.ask("acme", `{"release":{"hold":"h"}}`).body, &fields))
	if fields["type"] == nil || fields["scope"] != nil {
		t.Errorf("a problem that is no 402: %v", fields)
	}
}
