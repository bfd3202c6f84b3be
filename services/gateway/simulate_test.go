package gateway_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// compile makes a card rate, as the binary does.
func compile(card events.RateCard) (simulate.Rate, error) {
	compiled, err := rating.New(card)
	if err != nil {
		return nil, err
	}
	return func(u events.Usage, context simulate.Context) (simulate.Charge, error) {
		c, err := compiled.Rate(u, rating.Context(context))
		return simulate.Charge(c), err
	}, nil
}

const dearerCard = `
card: default
rules:
  - name: chat
    match: {operation: "POST /chat", attributes: {model: large}}
    price: {flat: "0.02", per_unit: [{quantity: tokens, price: "0.2", per: "3"}]}
`

func TestACardIsSimulatedOverPastUsageAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	db := analyse(t, dsn)
	w := start(t, func(c *gateway.Config) { c.Analytics, c.CompileRateCard = db, compile }).project().rate()
	w.projectHistory(dsn)
	w.charge()
	bob := neighbour("acme")
	small := event("id", `"4"`, "subject", `"`+bob+`"`, "data", `{"operation":"POST /chat","quantities":{"tokens":"3"},"attributes":{"model":"small"}}`)
	w.call("POST", "/v1/events", small, "Content-Type", structured).want(202)
	w.until("ClickHouse has the last charge", func() bool {
		_, err := db.Explain(t.Context(), "/api", "4")
		return err == nil
	})
	held := w.held()

	path := "/v1/ratecards/default/simulate?since=2026-11-01T12:00:00Z"
	fromClickHouse := decode[simulate.Result](w.call("POST", path, dearerCard, "Content-Type", "application/yaml").want(200))
	r := fromClickHouse
	told := fmt.Sprintf("%d events from %s: %+v; %d refused, %s: %s %s", r.Events, r.Source, r.Rows, r.Refused.Events, r.Refused.Now, r.Refused.Examples[0].ID, r.Refused.Examples[0].Reason)
	want := `4 events from clickhouse: [{Account:acme Operation:POST /chat Sums:{Calls:3 Now:41.696666 Then:83.393334 Difference:41.696668}}]; ` +
		`1 refused, 0.11: 4 rate card default version 2: no rule matches`
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("simulation (-want +got):\n%s", diff)
	}
	if len(r.Losers) != 1 || r.Losers[0].Account != "acme" || len(r.Gainers) != 0 || r.Total != r.Rows[0].Sums {
		t.Errorf("who loses %+v, who gains %+v, in all %+v", r.Losers, r.Gainers, r.Total)
	}

	bare := w.beside(t, nil)
	fromLedger := decode[simulate.Result](bare.call("POST", path, dearerCard).want(200))
	if fromLedger.Source != "ledger" {
		t.Errorf("without ClickHouse usage comes from %s", fromLedger.Source)
	}
	fromLedger.Source, fromLedger.Sequence = fromClickHouse.Source, fromClickHouse.Sequence
	if diff := cmp.Diff(fromClickHouse, fromLedger); diff != "" {
		t.Errorf("by the ledger (-clickhouse +ledger):\n%s", diff)
	}
	for _, from := range []*world{w, bare} {
		if one := decode[simulate.Result](from.call("POST", path+"&account="+bob, dearerCard).want(200)); one.Events != 1 || one.Refused.Events != 1 || len(one.Rows) != 0 {
			t.Errorf("of one account: %+v", one)
		}
		if later := decode[simulate.Result](from.call("POST", "/v1/ratecards/default/simulate?since=2026-11-01T12:00:01Z", dearerCard).want(200)); later.Events != 0 {
			t.Errorf("since after them: %+v", later)
		}
	}
	if now := w.held(); now != held {
		t.Errorf("streams held %s, and now %s", held, now)
	}
	tiers := "card: default\nrules:\n  - name: chat\n    price: {graduated: {quantity: requests, tiers: [{up_to: \"1\", price: \"5\"}, {price: \"2\"}]}}\n"
	for _, from := range []*world{w, bare} {
		if tiered := decode[simulate.Result](from.call("POST", path, tiers).want(200)); tiered.Total.Then.String() != "14" || tiered.Total.Calls != 4 {
			t.Errorf("by tiers: %+v; want 5 + 2 + 2 of acme and 5 of the other", tiered.Total)
		}
	}
	w.call("POST", "/v1/ratecards/other/simulate", dearerCard).want(422)
	w.call("POST", path+"&account=nobody", dearerCard).want(404)
	w.call("POST", "/v1/ratecards/default/simulate", "card: default\nrules: []\n").want(422)
	down := w.beside(t, analyse(t, "clickhouse://127.0.0.1:1/none"))
	if r := decode[simulate.Result](down.call("POST", path, dearerCard).want(200)); r.Source != "ledger" || r.Total != fromLedger.Total {
		t.Errorf("while ClickHouse does not answer: %s %+v", r.Source, r.Total)
	}

	w.correct(bob, "4", func(events.Debit) *events.Debit { return nil })
	w.correct("acme", "1", func(d events.Debit) *events.Debit {
		d.Data.Quantities, d.Amount = map[string]events.Quantity{"tokens": events.WholeQuantity(3)}, events.Credit
		return &d
	})
	for _, from := range []*world{w, bare} {
		r := decode[simulate.Result](from.call("POST", path, dearerCard).want(200))
		told := fmt.Sprintf("%d events from %s: %s → %s; %d refused", r.Events, r.Source, r.Total.Now, r.Total.Then, r.Refused.Events)
		if want := "3 events from " + r.Source + ": 41.686666 → 81.593334; 0 refused"; told != want {
			t.Errorf("after corrections: %s; want %s", told, want)
		}
	}
}

// correct appends a correction of an event that was never corrected.
func (w *world) correct(account, id string, charge func(events.Debit) *events.Debit) {
	w.t.Helper()
	partition := events.Partition(account, partitions)
	ledger, err := w.js.Stream(w.t.Context(), events.StreamLedger)
	w.ok(err)
	for sequence := uint64(1); ; sequence++ {
		m, err := ledger.GetMsg(w.t.Context(), sequence)
		w.ok(err)
		chunk, err := events.DecodeChunk(m.Data)
		w.ok(err)
		i := slices.IndexFunc(chunk.Entries, func(e events.Entry) bool { return e.Debit != nil && e.Account == account && e.Debit.ID == id })
		if i < 0 {
			continue
		}
		was, at := chunk.Entries[i].Debit, events.LedgerPlace{Sequence: sequence, Index: i, StoredAt: m.Time}
		body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{{Kind: events.EntryCorrection, Account: account, Correction: &events.Correction{
			Source: was.Source, ID: id, First: at, Corrects: at, Was: was, Now: charge(*was), Reason: "test",
		}}}})
		w.ok(err)
		_, err = w.js.Publish(w.t.Context(), events.CorrectionSubject(partition, was.Source, id), body)
		w.ok(err)
		return
	}
}

// neighbour is another account of the same partition.
func neighbour(account string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint("bob-", i); events.Partition(other, partitions) == events.Partition(account, partitions) {
			return other
		}
	}
}

// held says what the streams hold.
func (w *world) held() string {
	w.t.Helper()
	text := ""
	for _, name := range []string{events.StreamUsage, events.StreamLedger, events.StreamDeadLetter, "KV_" + events.BucketCatalog, "KV_" + events.BucketBalances} {
		s, err := w.js.Stream(w.t.Context(), name)
		w.ok(err)
		text += fmt.Sprintf("%s %d ", name, s.CachedInfo().State.LastSeq)
	}
	return text
}
