package gateway_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

func rates(c *gateway.Config) { c.CompileRateCard = compile }

// amend takes acme's event id to have been data.
func (w *world) amend(id, data string) answer {
	w.t.Helper()
	return w.call("POST", "/v1/amend", fmt.Sprintf(`{"source":"/api","id":%q,"account":"acme","reason":"miscounted","data":%s}`, id, data))
}

// chatData is the data of a chat with other tokens.
func chatData(tokens string) string {
	return `{"operation":"POST /chat","status":200,"project":"web","key":"k1","quantities":{"tokens":"` + tokens + `"},"attributes":{"model":"large"}}`
}

func charged(a answer) string {
	a.t.Helper()
	c := decode[gateway.CorrectionDecision](a).Charge
	text := fmt.Sprintf("%s of %s/%d: %s", c.Rule, c.Card, c.Version, c.Arithmetic)
	for _, t := range c.Tiers {
		text += fmt.Sprintf("; %s %s after %s", t.Quantity, t.Amount, t.Before)
	}
	return text
}

func TestAnEventIsAmendedAndChargedAnew(t *testing.T) {
	t.Parallel()
	w := start(t, rates).project().rate()
	w.charge()
	// A dearer card that comes into force later has no say in what happened before.
	w.call("PUT", "/v1/ratecards/default", "effective_from: 2026-11-01T12:00:01Z\n"+card("default", "7")).want(201)
	first := w.amend("2", chatData("60")).want(200)
	says(t, corrected(first), "applied: 7.343333 → 2.01; refilled trial 1.98 leaves 1.98; refilled paid 3.353333 leaves 3.353333; drawn trial 1.98 leaves 0; drawn paid 3.353333 leaves 0; "+
		"expired 0, voided 0, owed 0, forgiven 0; available 0, overage 11.363333")
	says(t, charged(first), "chat of default/1: 0.01 + 60 / 3 × 0.1 = 2.01")

	again := decode[gateway.CorrectionDecision](w.amend("2", strings.Replace(chatData("60"), `"60"`, `60.0`, 1)).want(200))
	if d := decode[gateway.CorrectionDecision](first); again.Outcome != events.Unchanged || again.Sequence != d.Sequence || again.Corrected.Now.String() != "2.01" {
		t.Errorf("the same again: %+v", again)
	}
	if same := decode[gateway.CorrectionDecision](w.amend("1", chatData("30")).want(200)); same.Outcome != events.Unchanged || same.Corrected.Was != same.Corrected.Now || same.Reason != "" {
		t.Errorf("what it was all along: %+v", same)
	}
	says(t, corrected(w.void("2").want(200)), "applied: 2.01 → 0; refilled trial 2.01 leaves 2.01; drawn trial 2.01 leaves 0; expired 0, voided 0, owed 0, forgiven 0; available 0, overage 9.353333")
	says(t, corrected(w.amend("2", chatData("3")).want(200)), "applied: 0 → 0.11; expired 0, voided 0, owed 0, forgiven 0; available 0, overage 9.463333")

	e := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=2&account=acme", "").want(200))
	told := fmt.Sprintf("%s, now %s:", e.Status, e.ChargedNow)
	for _, c := range e.Corrections {
		told += " " + c.Reason
		if c.Charge != nil {
			told += fmt.Sprintf(" %s = %s %s", c.Data.Quantity("tokens"), c.Charge.Amount, c.Charge.Rounding)
		}
	}
	says(t, told, "charged, now 0.11: miscounted 60 = 2.01 half_up outage miscounted 3 = 0.11 half_up")
	chain := w.corrections()
	if len(chain) != 3 || chain[0].Was.Amount.String() != "7.343333" || chain[1].Was.Amount.String() != "2.01" || chain[2].Was != nil {
		t.Errorf("the ledger has %+v", chain)
	}
}

func TestAnAmendedEventIsRatedByWhatTheAccountHadUsedWhenItCame(t *testing.T) {
	t.Parallel()
	w := start(t, rates).project().rate()
	tiers := `{graduated: {quantity: units, tiers: [{up_to: "1000", price: "0.5"}, {price: "0.2"}]}}`
	w.call("PUT", "/v1/ratecards/default", "card: default\nrules:\n"+
		"  - name: search\n    match: {operation: \"GET /search\"}\n    price: "+tiers+"\n"+
		"  - name: find\n    match: {operation: \"GET /find\"}\n    price: "+tiers+"\n"+
		"  - name: gold\n    match: {operation: \"GET /item\", plan: pro}\n    price: {flat: \"1\"}\n"+
		"  - name: item\n    match: {operation: \"GET /item\"}\n    price: {flat: \"2\"}\n").want(201)
	w.call("PUT", "/v1/plans/pro", `{"plan":"pro","period":"day"}`).want(200)
	w.call("PUT", "/v1/accounts/acme", `{"plan":"pro","started_at":"2026-11-01T08:00:00Z"}`).want(200)
	data := func(operation, units string) string {
		return fmt.Sprintf(`{"operation":"GET /%s","quantities":{"units":%q}}`, operation, units)
	}
	sum := []string{"450", "750", "990", "1140"} // 900 × 0.5; 600 × 0.5; 400 × 0.5 + 200 × 0.2; 100 × 0.5 + 500 × 0.2
	for i, d := range []string{data("find", "900"), data("search", "600"), data("search", "600"), data("find", "600")} {
		w.call("POST", "/v1/events", event("id", fmt.Sprintf("%q", fmt.Sprint(i+1)), "data", d), "Content-Type", structured).want(202)
		w.untilCharged("acme", sum[i])
	}
	says(t, charged(w.amend("3", data("search", "300")).want(200)), "search of default/1: 300 × 0.5 (units 600 to 900) = 150; units 300 after 600")
	says(t, charged(w.amend("3", data("find", "200")).want(200)), "find of default/1: 100 × 0.5 (units 900 to 1000) + 100 × 0.2 (units 1000 to 1100) = 70; units 200 after 900")
	w.void("1").want(200) // which comes later than the third event, and does not make it cheaper
	says(t, charged(w.amend("3", data("find", "150")).want(200)), "find of default/1: 100 × 0.5 (units 900 to 1000) + 50 × 0.2 (units 1000 to 1050) = 60; units 150 after 900")
	says(t, charged(w.amend("3", data("search", "100")).want(200)), "search of default/1: 100 × 0.5 (units 600 to 700) = 50; units 100 after 600")
	says(t, charged(w.amend("3", data("item", "1")).want(200)), "gold of default/1: 1")
	for _, c := range w.corrections() {
		for _, d := range []*events.Debit{c.Was, c.Now} {
			if d != nil && len(d.Tiers) > 0 && d.Tiers[0].Period.Format("2006-01-02T15") != "2026-11-01T08" {
				t.Errorf("counted in the period of %s", d.Tiers[0].Period)
			}
		}
	}
}

func TestDataThatCannotBeChargedChangesNothing(t *testing.T) {
	t.Parallel()
	w := start(t, rates).project().rate()
	w.charge()
	before := w.held()
	for data, want := range map[string]string{
		`{"operation":"GET /none"}`: "/data unratable",
		`{"operation":"POST /chat","quantities":{"tokens":"999999999999999999"}}`: "/data overflow",
		`{"operation":"POST /chat","quantities":{"tokens":"-1"}}`:                 "/data/quantities/tokens invalid",
		`{"operation":"POST /chat","tokens":3}`:                                   "/data/tokens invalid",
		`{"status":200}`:                                                          "/data/operation missing",
		`7`:                                                                       "/data malformed",
		`{"operation":"POST /chat","quantities":{"tokens":"1"},"quantities":{"tokens":"2"}}`: "/data/quantities malformed",
	} {
		p := w.call("POST", "/v1/amend", `{"source":"/api","id":"1","account":"acme","reason":"r","data":`+data+`}`)
		if p.status != 422 && p.status != 400 {
			t.Fatalf("%s: status %d: %s", data, p.status, p.body)
		}
		if errors := p.problem().Errors; len(errors) != 1 || errors[0].Path+" "+errors[0].Code != want {
			t.Errorf("%s: %+v; want %s", data, errors, want)
		}
	}
	w.call("POST", "/v1/amend", `{"source":"/api","id":"1","account":"acme","reason":"r"}`).want(422)
	w.call("POST", "/v1/amend", `{"source":"/api","id":"none","account":"acme","reason":"r","data":`+chatData("1")+`}`).want(404)
	if now := w.held(); now != before {
		t.Errorf("streams held %s, and now %s", before, now)
	}
	w.beside(t, nil).call("POST", "/v1/amend", `{"source":"/api","id":"1","account":"acme","reason":"r","data":`+chatData("1")+`}`).want(200)
}

func TestWhoeverCorrectsAtTheSameTimeEachIsAnsweredWhatIsTrueThen(t *testing.T) {
	t.Parallel()
	w := start(t, rates).project().rate()
	w.charge()
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			if i%2 == 0 {
				w.void("1").want(200)
			} else {
				w.amend("1", chatData(fmt.Sprint(3*i))).want(200)
			}
		})
	}
	all.Wait()
	stands := events.MustCredits("1.01")
	for i, c := range w.corrections() {
		was, now := c.Charges()
		if was != stands {
			t.Errorf("correction %d takes back %s; %s stood", i, was, stands)
		}
		stands = now
	}
	e := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=1&account=acme", "").want(200))
	for _, c := range e.Corrections {
		if c.Refused != "" {
			t.Errorf("the fold refused %+v", c)
		}
	}
	w.untilCharged("acme", (events.MustCredits("40.686666") + stands).String())
	if *e.ChargedNow != stands {
		t.Errorf("explained as charged %s; %s stands", e.ChargedNow, stands)
	}
}
