package rater_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// applyTiers applies a card of which the first three searches of a billing
// period cost 1 each and later ones a tenth, and other calls by their model.
func (w *world) applyTiers() {
	w.Helper()
	end, dear, cheap := events.MustQuantity("3"), events.MustQuantity("1"), events.MustQuantity("0.1")
	w.putCard(events.RateCard{Card: events.DefaultCard, Version: 1, Rules: []events.Rule{
		{Name: "search", Match: events.Match{Operation: "GET **"}, Price: events.Price{Graduated: &events.Tiered{Quantity: "requests",
			Tiers: []events.PriceTier{{UpTo: &end, Price: dear}, {Price: cheap}}}}},
		{Name: "llm", Price: events.Price{Matrix: &events.Matrix{By: []string{"model"}, Cells: []events.Cell{{Values: []string{"large"}, Price: dear}}}}},
	}})
}

func TestTiersAreCountedPerAccountAcrossChunksAndRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyTiers()
	_, stop := w.run(1)
	one, other := accountOf(1, 0), accountOf(1, 1)
	w.publishBatch(usage(one, "a"), usage(one, "b"), usage(other, "x"), usage(one, "b"))
	w.settle(1, 4)
	w.publish(usage(one, "c"))
	w.settle(1, 5)
	stop()
	folder := t.TempDir()
	second := w.start(rater.Config{Share: of(1), StateDir: folder})
	w.publish(usage(one, "d"))
	w.settle(1, 6)
	second()
	w.start(rater.Config{Share: of(1), StateDir: folder})
	w.publishBatch(usage(one, "e"), usage(other, "y"))
	got := w.settle(1, 8)
	amounts := map[string]string{}
	for key, d := range got.debits {
		amounts[key] = d.Amount.String() + " from " + d.Tiers[0].Before.String()
	}
	want := map[string]string{
		one + " a": "1 from 0", one + " b": "1 from 1", one + " c": "1 from 2", one + " d": "0.1 from 3", one + " e": "0.1 from 4",
		other + " x": "1 from 0", other + " y": "1 from 1",
	}
	if diff := cmp.Diff(want, amounts); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	month := time.Date(noon.Year(), noon.Month(), 1, 0, 0, 0, 0, time.UTC)
	if at := got.debits[one+" e"].Tiers[0].Period; !at.Equal(month) {
		t.Errorf("counted in the period of %s, want %s", at, month)
	}
}

func TestACallWithoutACellIsDeadLetteredWithItsValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyTiers()
	w.run(1)
	u := usage(accountOf(1, 0), "a")
	u.Data.Operation, u.Data.Attributes = "POST /llm", map[string]string{"model": "huge"}
	w.publish(u)
	w.settle(1, 1)
	letters := w.deadLetters()
	if len(letters) != 1 || letters[0].Reason != events.CodeUnratable || !strings.Contains(letters[0].Detail, `no cell for model="huge"`) {
		t.Errorf("dead letters %+v", letters)
	}
}

// put stores what the projector would under a key of the catalog.
func (w *world) put(key string, content any) {
	w.Helper()
	body, err := json.Marshal(content)
	w.must(err)
	_, err = w.streams.Catalog.Put(w.Context(), key, body)
	w.must(err)
}

// What was set of an account before an event was published counts for it: its
// plan for the rule, and its billing period for the tiers.
func TestAnEventIsRatedByThePlanAndTheBillingPeriodOfItsAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end, dear, cheap := events.MustQuantity("1"), events.MustQuantity("1"), events.MustQuantity("0.1")
	tiers := func() *events.Tiered {
		return &events.Tiered{Quantity: "requests", Tiers: []events.PriceTier{{UpTo: &end, Price: dear}, {Price: cheap}}}
	}
	half := events.MustQuantity("0.5")
	w.putCard(events.RateCard{Card: events.DefaultCard, Version: 1, Rules: []events.Rule{
		{Name: "pro", Match: events.Match{Plan: "pro"}, Price: events.Price{Graduated: tiers(), Multiply: []events.Multiplier{{When: `plan == "pro"`, By: half}}}},
		{Name: "other", Price: events.Price{Graduated: tiers()}},
	}})
	w.run(1)
	acme := accountOf(1, 0)
	n := 0
	rate := func(id string, at time.Time) string {
		u := usage(acme, id)
		u.Time = at
		w.publish(u)
		n++
		d := w.settle(1, n).debits[acme+" "+id]
		return d.Rule + " " + d.Amount.String() + " in " + d.Tiers[0].Period.Format(time.RFC3339)
	}
	month := time.Date(noon.Year(), noon.Month(), 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
	got := []string{rate("a", noon), rate("b", noon)}
	w.put("plan.pro", events.Plan{Plan: "pro", Terms: events.Terms{Period: "PT1H"}})
	w.put("account."+acme, events.Account{ID: acme, Plan: "pro", StartedAt: noon.Add(-30 * time.Minute)})
	got = append(got, rate("c", noon), rate("d", noon.Add(29*time.Minute)), rate("e", noon.Add(-31*time.Minute)))
	w.put("account."+acme, events.Account{ID: acme, Plan: "pro", StartedAt: noon.Add(-30 * time.Minute), Terms: events.Terms{Period: "PT2H"}})
	got = append(got, rate("f", noon.Add(-31*time.Minute)))
	w.put("plan.free", events.Plan{Plan: "free"})
	w.put("account."+acme, events.Account{ID: acme, Plan: "free", StartedAt: noon.Add(-30 * time.Minute)})
	got = append(got, rate("g", noon))
	at := func(minutes int) string { return noon.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339) }
	want := []string{
		"other 1 in " + month, "other 0.1 in " + month,
		"pro 0.5 in " + at(-30), "pro 0.05 in " + at(-30), "pro 0.5 in " + at(-90),
		"pro 0.5 in " + at(-150),
		"other 0.1 in " + month,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rated (-want +got):\n%s", diff)
	}
}

// What an account used in its billing period matters for longer than ids do.
func TestTiersAreCountedFromBeforeTheHorizon(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"with an index from before the horizon": false, "without an index": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				end, dear, cheap := events.MustQuantity("2"), events.MustQuantity("1"), events.MustQuantity("0.1")
				card, err := json.Marshal(events.RateCard{Card: events.DefaultCard, Version: 2, EffectiveFrom: time.Now(), Rules: []events.Rule{
					{Name: "search", Price: events.Price{Graduated: &events.Tiered{Quantity: "requests",
						Tiers: []events.PriceTier{{UpTo: &end, Price: dear}, {Price: cheap}}}}},
				}})
				b.must(err)
				b.append("KV_"+events.BucketCatalog, stream.Append{Subject: "$KV." + events.BucketCatalog + ".ratecard.default.2", Data: card})
				b.start()
				b.publish(b.event("a", 0))
				b.publish(b.event("b", 0))
				b.settle()
				b.stop()
				b.advance(100 * horizon)
				if lost {
					b.must(os.RemoveAll(dir))
				}
				// One that matters to nobody moves the window of ids on.
				b.start()
				other := b.event("other", 0)
				other.Account = "someone"
				b.publish(other)
				b.settle()
				b.stop()
				if lost {
					b.must(os.RemoveAll(dir))
				}
				b.start()
				b.publish(b.event("c", 0))
				if got := b.settle().debits["c"]; got.Amount.String() != "0.1" || got.Tiers[0].Before.String() != "2" {
					t.Errorf("the third costs %s, counted from %s; want 0.1 from 2", got.Amount, got.Tiers[0].Before)
				}
				b.stop()
			})
		})
	}
}
