package rating_test

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// smallQuantity has few digits and prices so many that nothing is rounded.
func smallQuantity() *rapid.Generator[events.Quantity] {
	return rapid.Custom(func(t *rapid.T) events.Quantity {
		return events.MustQuantity(fmt.Sprintf("%d.%d", rapid.IntRange(0, 40).Draw(t, "whole"), rapid.IntRange(0, 9).Draw(t, "tenths")))
	})
}

// smallTiers have prices per unit that are whole micro-credits times 10.
func smallTiers() *rapid.Generator[*events.Tiered] {
	return rapid.Custom(func(t *rapid.T) *events.Tiered {
		tiered := &events.Tiered{Quantity: "pages"}
		end := 0
		for range rapid.IntRange(0, 3).Draw(t, "ends") {
			end += rapid.IntRange(1, 20).Draw(t, "width")
			tiered.Tiers = append(tiered.Tiers, events.PriceTier{UpTo: quantity(fmt.Sprint(end)), Price: smallQuantity().Draw(t, "price")})
		}
		tiered.Tiers = append(tiered.Tiers, events.PriceTier{Price: smallQuantity().Draw(t, "price")})
		return tiered
	})
}

func rater(t *rapid.T, p events.Price) *rating.Card {
	card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Price: p}}})
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// counters are what an account has used, by the debits that counted.
type counters map[events.Counter]events.Total

// charge rates an event by counters and adds what it counted to them.
func charge(t *rapid.T, card *rating.Card, counters counters, used events.Quantity) events.Debit {
	got, err := card.Rate(events.Usage{Data: events.UsageData{Quantities: map[string]events.Quantity{"pages": used}}},
		rating.Context{Period: november, Used: func(c events.Counter) (events.Total, error) { return counters[c], nil }})
	if err != nil {
		t.Fatal(err)
	}
	d := events.Debit{ID: "1", Card: "c", Rule: got.Rule, Amount: got.Amount, Tiers: got.Tiers}
	for _, tier := range d.Tiers {
		if counters[d.Counter(tier)] != tier.Before {
			t.Fatalf("the counter stood at %s, not at %s", counters[d.Counter(tier)], tier.Before)
		}
		if counters[d.Counter(tier)], err = tier.Before.Add(tier.Amount.Total()); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestOneEventOverTiersCostsWhatItsPartsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		card := rater(t, events.Price{Graduated: smallTiers().Draw(t, "tiers")})
		whole, parts := counters{}, counters{}
		before := smallQuantity().Draw(t, "before")
		if got, want := charge(t, card, whole, before), charge(t, card, parts, before); got.Amount != want.Amount {
			t.Fatalf("the same event cost %s and %s", got.Amount, want.Amount)
		}
		var sum events.Credits
		total := new(big.Rat)
		for _, part := range rapid.SliceOfN(smallQuantity(), 1, 10).Draw(t, "parts") {
			sum += charge(t, card, parts, part).Amount
			total.Add(total, part.Rat())
		}
		if got := charge(t, card, whole, events.MustQuantity(total.FloatString(1))); got.Amount != sum {
			t.Fatalf("one event costs %s, its parts %s", got.Amount, sum)
		}
	})
}

func TestTheTotalChargedNeverFalls(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		price := events.Price{Graduated: smallTiers().Draw(t, "graduated")}
		if rapid.Bool().Draw(t, "by volume") {
			price = events.Price{Volume: price.Graduated}
		}
		card := rater(t, price)
		used, more := smallQuantity().Draw(t, "used"), smallQuantity().Draw(t, "more")
		counted := counters{}
		first := charge(t, card, counted, used)
		if next := charge(t, card, counted, more); first.Amount+next.Amount < first.Amount {
			t.Fatalf("the total fell from %s by %s", first.Amount, next.Amount)
		}
		if price.Graduated == nil {
			return // by volume one larger event may cost less than a smaller one
		}
		again := counters{}
		sum, err := used.Total().Add(more.Total())
		if err != nil {
			t.Fatal(err)
		}
		if larger := charge(t, card, again, events.MustQuantity(sum.String())); larger.Amount < first.Amount {
			t.Fatalf("%s pages cost %s, %s cost %s", used, first.Amount, sum, larger.Amount)
		}
	})
}
