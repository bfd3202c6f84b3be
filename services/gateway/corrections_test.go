package gateway_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

// void takes back the charge of acme's event id.
func (w *world) void(id string) answer {
	w.t.Helper()
	return w.call("POST", "/v1/void", fmt.Sprintf(`{"source":"/api","id":%q,"account":"acme","reason":"outage"}`, id))
}

// corrected renders what a correction did.
func corrected(a answer) string {
	a.t.Helper()
	d := decode[gateway.CorrectionDecision](a)
	c := d.Corrected
	text := fmt.Sprintf("%s: %s → %s", d.Outcome, c.Was, c.Now)
	for _, part := range []struct {
		name   string
		shares []events.GrantShare
	}{{"refilled", c.Refilled}, {"lost", c.Lost}, {"drawn", c.Drawn}} {
		for _, s := range part.shares {
			text += fmt.Sprintf("; %s %s %s leaves %s", part.name, s.Grant, s.Amount, s.Left)
		}
	}
	return text + fmt.Sprintf("; expired %s, voided %s, owed %s, forgiven %s; available %s, overage %s",
		c.Expired, c.Voided, c.Owed, c.Forgiven, d.Balance.Available, d.Balance.Overage)
}

// says fails unless the text is as wanted.
func says(t testing.TB, got, want string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// corrections returns the corrections in acme's part of the ledger.
func (w *world) corrections() (all []events.Correction) {
	w.t.Helper()
	info, err := w.streams.Ledger.Info(w.t.Context())
	w.ok(err)
	for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
		m, err := w.streams.Ledger.GetMsg(w.t.Context(), sequence)
		w.ok(err)
		chunk, err := events.DecodeChunk(m.Data)
		w.ok(err)
		for _, e := range chunk.Entries {
			if e.Correction != nil {
				all = append(all, *e.Correction)
			}
		}
	}
	return all
}

func TestAnEventIsVoidedAndTheGrantsItDrewAreRefilled(t *testing.T) {
	t.Parallel()
	w := start(t).project().rate()
	w.charge() // 1.01 of trial; 3.99 of trial and 3.353333 of paid; 16.646667 of paid and 16.696666 overage
	first := w.void("2").want(200)
	says(t, corrected(first), "applied: 7.343333 → 0; refilled trial 3.99 leaves 3.99; refilled paid 3.353333 leaves 3.353333; drawn trial 3.99 leaves 0; drawn paid 3.353333 leaves 0; "+
		"expired 0, voided 0, owed 0, forgiven 0; available 0, overage 9.353333")
	d := decode[gateway.CorrectionDecision](first)
	if d.Account != "acme" || d.Source != "/api" || d.ID != "2" || d.Reason != "outage" || d.Sequence == 0 {
		t.Errorf("decided %+v", d)
	}

	again := decode[gateway.CorrectionDecision](w.call("POST", "/v1/void", `{"source":"/api","id":"2","account":"acme","reason":"another"}`).want(200))
	if again.Outcome != events.Unchanged || again.Sequence != d.Sequence || again.Reason != "outage" || !cmp.Equal(again.Corrected, d.Corrected) || again.Balance.Charged.String() != "34.353333" {
		t.Errorf("the same again: %+v", again)
	}
	says(t, corrected(w.void("3").want(200)), "applied: 33.343333 → 0; refilled paid 16.646667 leaves 16.646667; refilled trial 3.99 leaves 3.99; refilled paid 3.353333 leaves 20; "+
		"expired 0, voided 0, owed 9.353333, forgiven 0; available 23.99, overage 0")
	c := w.corrections()
	if len(c) != 2 || c[0].First != c[0].Corrects || c[0].Was.Amount.String() != "7.343333" || c[0].Was.Data.Quantity("tokens").String() != "220" || c[0].Now != nil || c[0].Reason != "outage" {
		t.Errorf("the ledger has %+v", c)
	}
}

func TestWhatAVoidedEventDrewFromAGrantThatEndedSinceIsLost(t *testing.T) {
	t.Parallel()
	w := start(t).project().rate()
	w.call("PUT", "/v1/ratecards/default", chatCard).want(201)
	w.call("PUT", "/v1/plans/pro", `{"plan":"pro","period":"month","grant":{"amount":"5","priority":1}}`).want(200)
	w.call("PUT", "/v1/plans/max", `{"plan":"max","period":"month","grant":{"amount":"50"}}`).want(200)
	w.call("PUT", "/v1/accounts/acme", `{"plan":"pro"}`).want(200)
	planned := decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200)).Grants[0].ID
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"gift","amount":"1","priority":2}`).want(201)
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"paid","amount":"10","priority":3}`).want(201)
	w.call("POST", "/v1/events", chat("1", "195"), "Content-Type", structured).want(202) // 0.01 + 65 × 0.1
	w.untilCharged("acme", "6.51")
	w.call("PUT", "/v1/accounts/acme", `{"plan":"max"}`).want(200) // ends the plan's period, and its grant
	says(t, corrected(w.void("1").want(200)),
		"applied: 6.51 → 0; refilled gift 1 leaves 1; refilled paid 0.51 leaves 10; lost "+planned+" 5 leaves 0; expired 5, voided 0, owed 0, forgiven 0; available 61, overage 0")
}

func TestAnEventThatWasNotChargedCannotBeVoided(t *testing.T) {
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
	refused := func(body string, status int, code string, said ...string) {
		t.Helper()
		p := w.call("POST", "/v1/void", body).want(status).problem()
		if code != "" && (len(p.Errors) != 1 || p.Errors[0].Code != code) {
			t.Errorf("%s: %+v; want code %s", body, p, code)
		}
		for _, s := range said {
			if !strings.Contains(p.Detail, s) {
				t.Errorf("%s is answered %q, which does not say %q", body, p.Detail, s)
			}
		}
	}
	refused(`{"source":"/api","id":"1","reason":"r"}`, 409, "pending", "not rated yet", "once it is charged")
	w.rate()
	w.untilCharged("acme", "0.11")
	w.until("the other event is refused", func() bool {
		return decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=2", "").want(200)).Status == explain.Refused
	})
	refused(`{"source":"/api","id":"2","reason":"r"}`, 409, events.CodeUnratable, "never charged", "no rule matches", "drawdown deadletters replay 1")
	refused(`{"source":"/api","id":"none","reason":"r"}`, 404, "", `"none"`, "newest 1 dead letters")
	refused(`{"source":"/api","id":"1","account":"ada","reason":"r"}`, 409, "account", "not of account ada", "account acme is charged")
	refused(`{"source":"/api","id":"1"}`, 422, "missing")
	refused(`{"source":"/api","id":"1","reason":"r","acount":"acme"}`, 422, "invalid")
	refused(`{"source":"/api","id":"1","reason":"`+strings.Repeat("r", 513)+`"}`, 422, "invalid")
	refused(`{"id":"1","account":"a b","reason":"r"}`, 422, "")
	refused(`{`, 400, "malformed")
	bare := w.beside(t, nil)
	if detail := bare.call("POST", "/v1/void", `{"source":"/api","id":"1","reason":"r"}`).want(503).problem().Detail; !strings.Contains(detail, "name the account") {
		t.Errorf("without ClickHouse: %q", detail)
	}
	if n := len(w.corrections()); n != 0 {
		t.Errorf("%d corrections are in the ledger", n)
	}
	says(t, corrected(w.call("POST", "/v1/void", `{"source":"/api","id":"1","reason":"r"}`).want(200)),
		"applied: 0.11 → 0; refilled g 0.11 leaves 10; expired 0, voided 0, owed 0, forgiven 0; available 10, overage 0")
}

func TestOfManyWhoVoidAnEventAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	w := start(t).project().rate()
	w.charge()
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes, sequences := map[events.Outcome]int{}, map[uint64]bool{}
	for range 8 {
		all.Go(func() {
			d := decode[gateway.CorrectionDecision](w.void("1").want(200))
			mu.Lock()
			defer mu.Unlock()
			outcomes[d.Outcome]++
			sequences[d.Sequence] = true
		})
	}
	all.Wait()
	if outcomes[events.Applied] != 1 || outcomes[events.Unchanged] != 7 || len(sequences) != 1 {
		t.Errorf("8 at once were answered %v at %v", outcomes, sequences)
	}
	if n := len(w.corrections()); n != 1 {
		t.Errorf("the ledger has %d corrections", n)
	}
}

func TestACorrectionThatTheFoldRefusedDoesNotStand(t *testing.T) {
	t.Parallel()
	w := start(t).project().rate()
	w.charge()
	w.void("1").want(200)
	// Another writer appends one that says that the event is charged still.
	foreign := w.corrections()[0]
	foreign.Now = new(*foreign.Was)
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{{Kind: events.EntryCorrection, Account: "acme", Correction: &foreign}}})
	w.ok(err)
	_, err = w.js.Publish(t.Context(), events.CorrectionSubject(events.Partition("acme", partitions), "/api", "1"), body)
	w.ok(err)
	if again := decode[gateway.CorrectionDecision](w.void("1").want(200)); again.Outcome != events.Unchanged || again.Corrected.Now != 0 {
		t.Errorf("after a correction that was refused: %+v", again)
	}
}

func TestCorrectionsAreExplainedAndShownInHistoryAndThePast(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	db := analyse(t, dsn)
	w := start(t, func(c *gateway.Config) { c.Analytics = db }).project().rate()
	w.projectHistory(dsn)
	w.charge()
	charged := w.call("GET", "/v1/accounts/acme/balance", "").want(200)
	d := decode[gateway.CorrectionDecision](w.void("2").want(200))
	var e explain.Explanation
	w.until("ClickHouse has the correction", func() bool {
		page, err := db.Ledger(t.Context(), "acme", 0, 1)
		return err == nil && len(page.Postings) == 1 && page.Postings[0].Kind == "correction"
	})
	page, err := db.Ledger(t.Context(), "acme", 0, 1)
	w.ok(err)
	if p := page.Postings[0]; p.Reason != "outage" || p.Event == nil || p.Event.ID != "2" || p.Charged.String() != "-7.343333" {
		t.Errorf("the history has %+v", p)
	}
	usage, err := db.Usage(t.Context(), "acme", time.Time{}, time.Time{}, analytics.ByOperation)
	w.ok(err)
	says(t, fmt.Sprintf("%+v", usage), "[{Group:POST /chat Calls:2 Charged:34.353333}]")
	fromClickHouse := w.call("GET", "/v1/explain?source=/api&id=2", "").want(200)
	e = decode[explain.Explanation](fromClickHouse)
	if e.Status != explain.Void || e.ChargedNow == nil || *e.ChargedNow != 0 || e.Charge.Amount.String() != "7.343333" || len(e.Corrections) != 1 {
		t.Fatalf("explained %s", fromClickHouse.body)
	}
	c := e.Corrections[0]
	if c.Reason != "outage" || c.Charge != nil || c.Refused != "" || c.Ledger.Sequence != d.Sequence || c.Ledger.Posting != 6 || c.Ledger.RecordedAt.IsZero() || !cmp.Equal(*c.Did, d.Corrected) {
		t.Errorf("corrected by %+v", c)
	}
	says(t, fmt.Sprintf("%s/%s → %s/%s", c.Before.Available, c.Before.Overage, c.After.Available, c.After.Overage), "0/16.696666 → 0/9.353333")
	bare := w.beside(t, nil)
	if got := bare.call("GET", "/v1/explain?source=/api&id=2&account=acme", "").want(200); string(got.body) != string(fromClickHouse.body) {
		t.Errorf("from the ledger: explained\n%s\nwant\n%s", got.body, fromClickHouse.body)
	}
	was, now := decode[events.Balance](charged), decode[events.Balance](w.call("GET", "/v1/accounts/acme/balance", "").want(200))
	for sequence, want := range map[uint64]events.Balance{was.Sequence: was, d.Sequence: now} {
		got := decode[events.Balance](w.call("GET", fmt.Sprintf("/v1/accounts/acme/balance?sequence=%d", sequence), "").want(200))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at sequence %d (-published +folded again):\n%s", sequence, diff)
		}
	}
}
