package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const toppedUp = `{"top_up":{"below":"500","amount":"5000","at_most_per_period":2,"cooldown":"1h"}}`

func TestATopUpIsRequestedAndAnsweredOverHTTP(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	set := w.call("PUT", "/v1/accounts/acme", toppedUp).want(200)
	if got := decode[gateway.AccountSettings](set); got.TopUp == nil || got.TopUp.Below != 500*events.Credit {
		t.Errorf("set %s", set.body)
	}
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"500"}`).want(201)
	refused := func(topUp events.TopUpState) {
		t.Helper()
		if p := w.call("POST", "/v1/accounts/acme/holds", `{"id":"big","amount":"501"}`).want(402).problem(); p.Insufficiency.TopUp != topUp {
			t.Errorf("402 says %+v; want top_up %s", p.Insufficiency, topUp)
		}
	}
	refused(events.TopUpAvailable)
	held := decode[gateway.HoldDecision](w.call("POST", "/v1/accounts/acme/holds", `{"id":"job","amount":"1"}`).want(201))
	if u := held.Balance.TopUp; u == nil || u.State != events.TopUpPending || u.Request.ID != "topup:acme:1" || u.Request.Amount != 5000*events.Credit {
		t.Errorf("the hold leaves the top-up %+v", u)
	}
	refused(events.TopUpPending)

	granted := w.call("POST", "/v1/accounts/acme/grants", `{"id":"paid","amount":"5","top_up":"topup:acme:1"}`).want(201)
	if d := decode[gateway.GrantDecision](granted); d.TopUp != events.TopUpAnswered || d.Balance.TopUp.State != events.TopUpAvailable || d.Balance.TopUp.NextAt.IsZero() {
		t.Errorf("the grant that names it: %s", granted.body)
	}
	again := decode[gateway.GrantDecision](w.call("POST", "/v1/accounts/acme/grants", `{"id":"paid","amount":"5","top_up":"topup:acme:1"}`).want(200))
	if again.Outcome != events.Unchanged {
		t.Errorf("the same grant again: %+v", again)
	}
	late := decode[gateway.GrantDecision](w.call("POST", "/v1/accounts/acme/grants", `{"id":"late","amount":"5","top_up":"topup:acme:1"}`).want(201))
	if late.TopUp != events.TopUpNotPending || late.Outcome != events.Applied {
		t.Errorf("a grant that names what does not pend: %+v", late)
	}
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"bad","amount":"5","top_up":"a b"}`).want(422)
}

func TestATopUpIsDeclinedOverHTTP(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("PUT", "/v1/accounts/acme", toppedUp).want(200)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"499"}`).want(201)
	decline := "/v1/accounts/acme/topups/topup:acme:1/decline"
	w.call("POST", decline, `{"reason":"`+strings.Repeat("x", 513)+`"}`).want(422)
	w.call("POST", decline, `{"why":""}`).want(422)
	w.call("POST", "/v1/accounts/acme/topups/topup:acme:2/decline", `{}`).want(404)
	w.call("POST", "/v1/accounts/acme/topups/a%20b/decline", `{}`).want(422)
	for _, outcome := range []events.Outcome{events.Applied, events.Unchanged} {
		d := decode[gateway.TopUpDecision](w.call("POST", decline, `{"reason":"card refused"}`).want(200))
		if d.Outcome != outcome || d.TopUp != "topup:acme:1" || d.Account != "acme" || d.Balance.TopUp.State != events.TopUpAvailable {
			t.Errorf("declined: %+v; want %s", d, outcome)
		}
	}
	w.call("PUT", "/v1/accounts/paid", toppedUp).want(200)
	w.call("POST", "/v1/accounts/paid/grants", `{"id":"g","amount":"499"}`).want(201)
	w.call("POST", "/v1/accounts/paid/grants", `{"id":"paid","amount":"5000","top_up":"topup:paid:1"}`).want(201)
	if p := w.call("POST", "/v1/accounts/paid/topups/topup:paid:1/decline", `{}`).want(409).problem(); p.Errors[0].Code != events.RefusedAnswered {
		t.Errorf("declining what was paid: %+v", p)
	}
}

func TestABudgetThatRefusesIsNotHelpedByATopUp(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("PUT", "/v1/accounts/acme", `{"budgets":[{"scope":"project:*","limit":"1","per":"day"}],`+toppedUp[1:]).want(200)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"499"}`).want(201)
	p := w.call("POST", "/v1/accounts/acme/holds", `{"id":"h","amount":"2","project":"web"}`).want(402).problem()
	if p.Insufficiency.Scope != "project:web" || p.Insufficiency.TopUp != events.TopUpNone {
		t.Errorf("402 %+v", p.Insufficiency)
	}
}

// TestAPaymentSystemIsAskedOnceAndFillsTheAccountUp has the projector and the
// enforcer end and start again while the request pends.
func TestAPaymentSystemIsAskedOnceAndFillsTheAccountUp(t *testing.T) {
	t.Parallel()
	w := start(t)
	stopProjector, stopEnforcer := w.balances(), w.enforce()
	heard := w.hearSignals()
	w.call("PUT", "/v1/accounts/acme", toppedUp).want(200)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"600"}`).want(201)
	w.call("POST", "/v1/accounts/acme/adjustments", `{"id":"a","amount":"-101","reason":"test"}`).want(201)
	asked := heard(events.SignalTopUpRequested)
	if asked.TopUp == nil || asked.TopUp.ID != "topup:acme:1" || asked.TopUp.Amount != 5000*events.Credit || asked.Threshold != "500" {
		t.Fatalf("asked %+v", asked)
	}

	stopProjector()
	stopEnforcer()
	w.project().enforce()
	pending := decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	if diff := cmp.Diff(asked.TopUp, pending.TopUp.Request); pending.TopUp.State != events.TopUpPending || diff != "" {
		t.Errorf("after the restart %+v (-asked +pending):\n%s", pending.TopUp, diff)
	}
	w.call("POST", "/v1/accounts/acme/adjustments", `{"id":"b","amount":"-499","reason":"test"}`).want(201)
	heard(events.SignalExhausted)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"payment","amount":"`+asked.TopUp.Amount.String()+`","top_up":"`+asked.TopUp.ID+`"}`).want(201)
	heard(events.SignalRestored) // and nothing was asked for a second time in between
	filled := decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	if filled.Available != 5000*events.Credit || filled.TopUp.State != events.TopUpAvailable || filled.TopUp.Request != nil {
		t.Errorf("filled up: %+v, %+v", filled, filled.TopUp)
	}
}

// enforce runs the real enforcer until stop, or the test's end.
func (w *world) enforce() (stop func()) {
	w.t.Helper()
	broker, err := stream.NewBroker(w.nc)
	w.ok(err)
	e, err := enforcer.New(enforcer.Config{Broker: broker, Partitions: w.streams.Partitions})
	w.ok(err)
	return w.run("enforce", e.Run)
}

// hearSignals returns what waits for the next signal that is not low, and fails
// when it is of another kind.
func (w *world) hearSignals() func(events.SignalKind) events.Signal {
	w.t.Helper()
	broker, err := stream.NewBroker(w.nc)
	w.ok(err)
	reader, err := broker.Log(events.StreamSignals).Read(w.t.Context(), stream.From{})
	w.ok(err)
	w.t.Cleanup(reader.Close)
	return func(kind events.SignalKind) events.Signal {
		w.t.Helper()
		for {
			m, err := reader.Next(w.t.Context())
			w.ok(err)
			s, err := events.DecodeSignal(m.Data)
			w.ok(err)
			if s.Kind == events.SignalLow {
				continue
			}
			if s.Kind != kind {
				w.t.Fatalf("heard %+v; want %s", s, kind)
			}
			return s
		}
	}
}
