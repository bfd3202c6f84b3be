package gateway_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

func card(name, flat string) string {
	return fmt.Sprintf("card: %s\nrules:\n  - name: all\n    price: {flat: %q}\n", name, flat)
}

const plan = `
plan: pro
period: month
grant: {amount: "10000", priority: 50}
thresholds: ["20%", "100"]
`

func TestAPlanIsSetAndRead(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	for range 2 {
		w.call("PUT", "/v1/plans/pro", plan, "Content-Type", "application/yaml").want(200)
	}
	got := decode[events.Plan](w.call("GET", "/v1/plans/pro", "").want(200))
	if got.Plan != "pro" || got.Grant == nil || got.Grant.Amount != 10000*events.Credit {
		t.Errorf("plan %+v", got)
	}
	w.call("PUT", "/v1/plans/free", `{"plan":"free"}`).want(200)
	list := decode[gateway.Plans](w.call("GET", "/v1/plans", "").want(200))
	if len(list.Plans) != 2 || list.Plans[0].Plan != "free" || list.Plans[1].Plan != "pro" {
		t.Errorf("plans %+v; want free, pro", list.Plans)
	}
}

func TestARateCardIsVersioned(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	apply := func(flat string, status, version int) {
		t.Helper()
		got := decode[events.RateCard](w.call("PUT", "/v1/ratecards/default", card("default", flat), "Content-Type", "text/yaml").want(status))
		if got.Version != version || got.Card != "default" {
			t.Errorf("applied version %d of %s, want %d", got.Version, got.Card, version)
		}
	}
	apply("1", 201, 1)
	apply("1", 200, 1)
	apply("2", 201, 2)
	w.call("PUT", "/v1/ratecards/other", card("other", "3")).want(201)

	latest := decode[events.RateCard](w.call("GET", "/v1/ratecards/default", "").want(200))
	first := decode[events.RateCard](w.call("GET", "/v1/ratecards/default?version=1", "").want(200))
	if latest.Version != 2 || latest.Rules[0].Price.Flat.String() != "2" || first.Version != 1 || first.Rules[0].Price.Flat.String() != "1" {
		t.Errorf("latest %+v, first %+v", latest, first)
	}
	list := decode[gateway.CardSummaries](w.call("GET", "/v1/ratecards", "").want(200)).RateCards
	if len(list) != 2 || list[0].Card != "default" || list[0].Version != 2 || list[1].Card != "other" || list[1].Rules != 1 {
		t.Errorf("cards %+v", list)
	}
	versions := decode[gateway.CardSummaries](w.call("GET", "/v1/ratecards/default/versions", "").want(200)).RateCards
	if len(versions) != 2 || versions[0].Version != 1 || versions[1].Version != 2 {
		t.Errorf("versions %+v", versions)
	}
}

func TestARateCardThatTheCheckRefusesIsNotApplied(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) {
		c.CheckRateCard = func(card events.RateCard) []catalog.Problem {
			if card.Rules[0].Price.Flat.String() == "1" {
				return nil
			}
			return []catalog.Problem{{Path: "/rules/0/price", Detail: "found too much; expected 1"}}
		}
	}).project()
	p := w.call("PUT", "/v1/ratecards/default", card("default", "2")).want(422).problem()
	if len(p.Errors) != 1 || p.Errors[0].Line != 4 || p.Errors[0].Path != "/rules/0/price" || p.Errors[0].Detail != "found too much; expected 1" {
		t.Errorf("problem %+v", p)
	}
	w.call("GET", "/v1/ratecards/default", "").want(404)
	w.call("PUT", "/v1/ratecards/default", card("default", "1")).want(201)
}

func TestAnAccountIsSetReadAndListed(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("PUT", "/v1/accounts/acme", "plan: pro\n", "Content-Type", "application/yaml").want(404) // no such plan yet
	w.call("PUT", "/v1/plans/pro", plan).want(200)
	set := decode[gateway.AccountSettings](w.call("PUT", "/v1/accounts/acme", "plan: pro\nhard_stop_at: \"0\"\n").want(200))
	if !set.Set || set.ID != "acme" || set.Plan != "pro" || set.StartedAt.IsZero() {
		t.Errorf("set %+v; want plan pro and the default start", set)
	}
	w.call("POST", "/v1/accounts/beta/grants", `{"id":"g","amount":"5"}`).want(201)
	if beta := decode[gateway.AccountSettings](w.call("GET", "/v1/accounts/beta", "").want(200)); beta.Set || beta.ID != "beta" {
		t.Errorf("an account only the ledger names: %+v", beta)
	}
	if acme := decode[gateway.AccountSettings](w.call("GET", "/v1/accounts/acme", "").want(200)); !acme.Set || acme.Plan != "pro" {
		t.Errorf("read %+v", acme)
	}
	w.call("POST", "/v1/accounts/Zeta/grants", `{"id":"g","amount":"5"}`).want(201)
	var seen []string
	cursor := ""
	for range 3 {
		page := decode[gateway.AccountPage](w.call("GET", "/v1/accounts?limit=2&cursor="+cursor, "").want(200))
		seen = append(seen, page.Accounts...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[Zeta acme beta]" || cursor != "" {
		t.Errorf("accounts %v, next %q", seen, cursor)
	}
}

func TestWhatIsSetAgainIsUnchanged(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	for _, outcome := range []events.Outcome{events.Applied, events.Unchanged} {
		p := decode[gateway.PlanDecision](w.call("PUT", "/v1/plans/pro", plan).want(200))
		a := decode[gateway.AccountDecision](w.call("PUT", "/v1/accounts/acme", `{"plan":"pro"}`).want(200))
		c := decode[gateway.CardDecision](w.call("PUT", "/v1/ratecards/default", card("default", "1")).want(map[events.Outcome]int{events.Applied: 201, events.Unchanged: 200}[outcome]))
		if p.Outcome != outcome || a.Outcome != outcome || c.Outcome != outcome {
			t.Errorf("plan %s, account %s, card %s; want %s", p.Outcome, a.Outcome, c.Outcome, outcome)
		}
		if p.Plan.Plan != "pro" || c.Version != 1 || a.Balance == nil || a.Balance.Available != 10000*events.Credit {
			t.Errorf("plan %+v, version %d, balance %+v", p.Plan, c.Version, a.Balance)
		}
	}
}

func TestAGrantIsIssuedOnceAndVoidedOnce(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	issue := func(body string, status int) answer {
		t.Helper()
		return w.call("POST", "/v1/accounts/acme/grants", body, "Content-Type", "application/json").want(status)
	}
	issued := decode[gateway.GrantDecision](issue(`{"id":"g1","amount":"12.5","note":"first"}`, 201))
	if issued.Outcome != events.Applied || issued.Balance == nil || issued.Balance.Available.String() != "12.5" || issued.Sequence == 0 {
		t.Errorf("issued %+v", issued)
	}
	if again := decode[gateway.GrantDecision](issue(`{"id":"g1","amount":"12.5","note":"first"}`, 200)); again.Outcome != events.Unchanged {
		t.Errorf("the same again: %+v", again)
	}
	conflict := issue(`{"id":"g1","amount":"13"}`, 409).problem()
	if len(conflict.Errors) != 1 || conflict.Errors[0].Code != events.RefusedConflict {
		t.Errorf("other content: %+v", conflict)
	}
	issue(`{"id":"g2","amount":"1","priority":1}`, 201)
	var raw struct {
		Grants []map[string]json.RawMessage
	}
	a := w.call("GET", "/v1/accounts/acme/grants", "").want(200)
	w.ok(json.Unmarshal(a.body, &raw))
	if len(raw.Grants) != 2 || string(raw.Grants[0]["id"]) != `"g2"` || string(raw.Grants[1]["remaining"]) != `"12.5"` {
		t.Errorf("grants %s; want g2, g1 with credits as strings", a.body)
	}
	void := func(grant string, status int) answer {
		t.Helper()
		return w.call("POST", "/v1/grants/"+grant+"/void", `{"account":"acme","reason":"test"}`).want(status)
	}
	if voided := decode[gateway.GrantDecision](void("g1", 200)); voided.Balance.Available != events.Credit {
		t.Errorf("after the void %+v", voided.Balance)
	}
	void("g1", 409)
	void("none", 404)
	balance := decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	if balance.Available != events.Credit || balance.Voided.String() != "12.5" || balance.Granted.String() != "13.5" {
		t.Errorf("balance %+v", balance)
	}
}

func TestAnAdjustmentIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	adjust := func(body string, status int) answer {
		t.Helper()
		return w.call("POST", "/v1/accounts/acme/adjustments", body, "Content-Type", "application/json").want(status)
	}
	granted := decode[gateway.AdjustDecision](adjust(`{"id":"t1","amount":"10","reason":"outage"}`, 201))
	if granted.Outcome != events.Applied || granted.ID != "t1" || granted.Balance.Available != 10*events.Credit || granted.Balance.Grants[0].ID != "adjust:t1" {
		t.Errorf("granted %+v", granted)
	}
	charged := decode[gateway.AdjustDecision](adjust(`{"id":"t2","amount":"-12.5","reason":"missed"}`, 201))
	if charged.Balance.Charged.String() != "12.5" || charged.Balance.Overage.String() != "2.5" {
		t.Errorf("charged %+v", charged.Balance)
	}
	if again := decode[gateway.AdjustDecision](adjust(`{"id":"t2","amount":"-12.5","reason":"missed"}`, 200)); again.Outcome != events.Unchanged {
		t.Errorf("the same again: %+v", again)
	}
	adjust(`{"id":"t2","amount":"12.5","reason":"missed"}`, 409)
	for body, path := range map[string]string{
		`{"id":"t3","amount":"0","reason":"why"}`:             "/amount",
		`{"id":"t3","amount":"1000000001","reason":"why"}`:    "/amount",
		`{"id":"t3","amount":"1"}`:                            "/reason",
		`{"id":"a b","amount":"1","reason":"why"}`:            "/id",
		`{"id":"t3","amount":"1","reason":"why","note":"no"}`: "/note",
	} {
		if p := adjust(body, 422).problem(); len(p.Errors) != 1 || p.Errors[0].Path != path {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

func TestAGrantThatMakesNoSenseIsRefusedWithItsFields(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	for more, path := range map[string]string{
		`"recurrence":"fortnight"`:            "/recurrence",
		`"recurrence":"PT59S"`:                "/recurrence",
		`"rollover":{"max":"0"}`:              "/rollover/max",
		`"rollover":{"min":"3","max":"2"}`:    "/rollover/min",
		`"rollover":{"min":"6","max":"7"}`:    "/rollover/min",
		`"rollover":{"max":"1000000000.1"}`:   "/rollover/max",
		`"expires_at":"1969-12-31T00:00:00Z"`: "/expires_at",
	} {
		p := w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"5",`+more+`}`).want(422).problem()
		if len(p.Errors) != 1 || p.Errors[0].Path != path {
			t.Errorf("%s: %+v", more, p)
		}
	}
	d := decode[gateway.GrantDecision](w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"5","recurrence":"day","rollover":{"min":"1","max":"7"}}`).want(201))
	if g := d.Balance.Grants[0]; g.RecursAt.Sub(g.EffectiveAt) != 24*time.Hour {
		t.Errorf("grant %+v", g)
	}
}

func TestAChangeOfPlanWaitsForTheEndOfThePeriod(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	w.call("PUT", "/v1/plans/pro", "plan: pro\nperiod: month\n").want(200)
	w.call("PUT", "/v1/plans/max", "plan: max\nperiod: month\ngrant: {amount: 5}\n").want(200)
	w.call("PUT", "/v1/accounts/acme", `{"plan":"pro"}`).want(200)
	w.call("PUT", "/v1/accounts/acme", `{"plan":"max","change":"period_end"}`).want(200)
	balance := decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	if balance.Plan != "pro" || balance.Next == nil || balance.Next.Plan != "max" || !balance.Next.At.Equal(balance.Period.End) {
		t.Errorf("balance %+v, next %+v", balance, balance.Next)
	}
	w.call("PUT", "/v1/accounts/acme", `{"plan":"max","change":"now"}`).want(200)
	balance = decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	if balance.Plan != "max" || balance.Next != nil || balance.Available != 5*events.Credit {
		t.Errorf("balance %+v, next %+v", balance, balance.Next)
	}
	w.call("PUT", "/v1/accounts/acme", `{"plan":"max","change":"later"}`).want(422)
	w.call("PUT", "/v1/accounts/acme", `{"plan":"pro","next":{"plan":"max"}}`).want(422)
}

func TestManyCommandsAtOnceEachGetTheirOwnAnswer(t *testing.T) {
	t.Parallel()
	w := start(t).project()
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			account := fmt.Sprintf("a%d", i)
			a := w.call("POST", "/v1/accounts/"+account+"/grants", fmt.Sprintf(`{"id":"g","amount":"%d"}`, i+1))
			var d gateway.GrantDecision
			if err := json.Unmarshal(a.body, &d); err != nil || a.status != 201 || d.Balance == nil ||
				d.Balance.Account != account || d.Balance.Available != events.Credits(i+1)*events.Credit {
				t.Errorf("%s: %d %s", account, a.status, a.body)
			}
		})
	}
	all.Wait()
}

func TestACommandNobodyDecidesIsStoredAndAnswered504(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.DecisionTimeout = 20 * time.Millisecond })
	p := w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"1"}`).want(504).problem()
	if p.LedgerSequence != 1 {
		t.Errorf("ledger sequence %d, want 1", p.LedgerSequence)
	}
	m, err := w.streams.Ledger.GetMsg(t.Context(), 1)
	w.ok(err)
	chunk, err := events.DecodeChunk(m.Data)
	w.ok(err)
	want := events.LedgerSubject(events.Partition("acme", partitions), events.WriterCommand)
	if m.Subject != want || len(chunk.Entries) != 1 || chunk.Entries[0].Grant.ID != "g" || m.Header.Get(events.HeaderReply) == "" {
		t.Errorf("stored on %s, want %s: %s %v", m.Subject, want, m.Data, m.Header)
	}
}
