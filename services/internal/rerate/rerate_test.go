package rerate_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

var (
	noon  = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)
	month = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
)

func quantity(text string) *events.Quantity { q := events.MustQuantity(text); return &q }

// flat charges every call the same.
func flat(version int, from time.Time, price string) events.RateCard {
	return events.RateCard{Card: "default", Version: version, EffectiveFrom: from, Rules: []events.Rule{
		{Name: "all", Match: events.Match{Operation: "GET **"}, Price: events.Price{Flat: quantity(price)}},
	}}
}

// tiered charges the first two calls of a period one price and later ones another.
func tiered(version int, from time.Time, first, later string) events.RateCard {
	return events.RateCard{Card: "default", Version: version, EffectiveFrom: from, Rules: []events.Rule{
		{Name: "search", Match: events.Match{Operation: "GET **"}, Price: events.Price{Graduated: &events.Tiered{Quantity: "requests",
			Tiers: []events.PriceTier{{UpTo: quantity("2"), Price: *quantity(first)}, {Price: *quantity(later)}}}}},
	}}
}

func bookOf(t fataler, cards ...events.RateCard) rerate.Book {
	var versions []rerate.Version
	for _, card := range cards {
		compiled, err := rating.New(card)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, rerate.Version{Card: card, Rate: func(u events.Usage, c simulate.Context) (simulate.Charge, error) {
			charge, err := compiled.Rate(u, rating.Context(c))
			return simulate.Charge(charge), err
		}})
	}
	return rerate.NewBook(versions...)
}

type fataler interface{ Fatal(args ...any) }

// charged is one event, by "after noon in hours", and what it was charged: by a
// version, and before tiers.
type charged struct {
	hours   int
	calls   int64
	version int
	amount  string
	void    bool
	account string
}

func (c charged) debit(i int) *events.Debit {
	d := &events.Debit{Source: "/api", ID: fmt.Sprint(i), Time: noon.Add(time.Duration(c.hours) * time.Hour), Amount: events.MustCredits(c.amount),
		Card: "default", Version: c.version, Rule: "all", Arithmetic: "as it was", Data: events.UsageData{Operation: "GET /"}}
	if c.calls > 0 {
		d.Data.Quantities = map[string]events.Quantity{"requests": events.WholeQuantity(c.calls)}
		d.Rule = "search"
		d.Tiers = []events.Tier{{Part: events.PartGraduated, Quantity: "requests", Period: month, Amount: events.WholeQuantity(c.calls)}}
	}
	return d
}

func TestAnEventIsChargedAnewWhereItsChargeDiffers(t *testing.T) {
	t.Parallel()
	one, two := flat(1, time.Time{}, "1"), flat(2, noon, "2")
	for name, tc := range map[string]struct {
		cards  []events.RateCard
		events []charged
		want   string // a line for each event that differs
	}{
		"from the time of the version on, that included": {
			[]events.RateCard{one, two}, []charged{{hours: -1, version: 1, amount: "1"}, {hours: 0, version: 1, amount: "1"}, {hours: 1, version: 1, amount: "1"}},
			"1: 1 → 2 by version 2, all: 2\n2: 1 → 2 by version 2, all: 2\n",
		},
		"and not where it is the same": {
			[]events.RateCard{one, flat(2, noon, "1")}, []charged{{version: 1, amount: "1"}}, "",
		},
		"and not again": {
			[]events.RateCard{one, two}, []charged{{version: 2, amount: "2"}, {version: 1, amount: "1"}}, "1: 1 → 2 by version 2, all: 2\n",
		},
		"unless another version has taken over": {
			[]events.RateCard{one, two, flat(3, noon.Add(-2*time.Hour), "3")},
			[]charged{{hours: -3, version: 1, amount: "1"}, {hours: -2, version: 1, amount: "1"}, {hours: 0, version: 2, amount: "2"}},
			"1: 1 → 3 by version 3, all: 3\n",
		},
		"unless it is void": {
			[]events.RateCard{one, two}, []charged{{version: 1, amount: "1", void: true}}, "",
		},
		"in the tier that the events before it lead to": {
			[]events.RateCard{one, tiered(2, noon, "5", "7")},
			[]charged{{version: 1, amount: "1"}, {version: 1, amount: "1", void: true}, {version: 1, amount: "1"}, {version: 1, amount: "1"}, {version: 1, amount: "1", account: "bob"}},
			"0: 1 → 5 by version 2, search: 1 × 5 (requests 0 to 1) = 5 from 0\n" +
				"2: 1 → 5 by version 2, search: 1 × 5 (requests 1 to 2) = 5 from 1\n" +
				"3: 1 → 7 by version 2, search: 1 × 7 (requests 2 to 3) = 7 from 2\n" +
				"4: 1 → 5 by version 2, search: 1 × 5 (requests 0 to 1) = 5 from 0\n",
		},
		"and those count that keep the charge of an earlier version": {
			[]events.RateCard{tiered(1, time.Time{}, "1", "2"), tiered(2, noon, "5", "7")},
			[]charged{{hours: -1, calls: 2, version: 1, amount: "2"}, {calls: 1, version: 1, amount: "2"}},
			"1: 2 → 7 by version 2, search: 1 × 7 (requests 2 to 3) = 7 from 2\n",
		},
		"where it costs the same and counts otherwise": {
			[]events.RateCard{one, tiered(2, noon, "1", "1")}, []charged{{version: 1, amount: "1"}},
			"0: 1 → 1 by version 2, search: 1 × 1 (requests 0 to 1) = 1 from 0\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rerate.New(rerate.Config{At: bookOf(t, tc.cards...).At, From: tc.cards[len(tc.cards)-1].EffectiveFrom})
			var got strings.Builder
			for i, c := range tc.events {
				stands := c.debit(i)
				if c.void {
					continue
				}
				now, err := r.Charge(c.account, stands)
				if err == nil {
					err = r.Count(c.account, now)
				}
				if err != nil {
					t.Fatal(err)
				}
				if now == stands {
					continue
				}
				fmt.Fprintf(&got, "%s: %s → %s by version %d, %s: %s", now.ID, stands.Amount, now.Amount, now.Version, now.Rule, now.Arithmetic)
				for _, tier := range now.Tiers {
					fmt.Fprintf(&got, " from %s", tier.Before)
				}
				got.WriteByte('\n')
			}
			if diff := cmp.Diff(tc.want, got.String()); diff != "" {
				t.Errorf("charged anew (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEventThatTheNewVersionRefusesSaysWhy(t *testing.T) {
	t.Parallel()
	r := rerate.New(rerate.Config{At: bookOf(t, flat(1, noon, "1")).At})
	d := charged{amount: "1"}.debit(0)
	d.Data.Operation = "POST /"
	if _, err := r.Charge("ada", d); err == nil || !strings.Contains(err.Error(), "no rule matches") {
		t.Errorf("got %v", err)
	}
	d = charged{hours: -1, amount: "1"}.debit(0)
	if _, err := r.Charge("ada", d); err == nil || err.Error() != "no version is in force at 2026-11-10T11:00:00Z" {
		t.Errorf("before the first version: got %v", err)
	}
}

func TestTheBillingPeriodIsTheOneCountedInOrThatOfTheTerms(t *testing.T) {
	t.Parallel()
	hourly := simulate.Terms{Length: time.Hour, Anchor: noon}
	r := rerate.New(rerate.Config{At: bookOf(t, tiered(2, time.Time{}, "5", "7")).At, Terms: func(string) simulate.Terms { return hourly }})
	for want, c := range map[time.Time]charged{month: {calls: 1, amount: "1"}, noon: {amount: "1"}} {
		now, err := r.Charge("ada", c.debit(0))
		if err != nil || !now.Tiers[0].Period.Equal(want) {
			t.Errorf("%+v, %v; want a period that starts at %s", now, err, want)
		}
	}
}

// history is what some accounts were charged by some cards, in the ledger's
// order, as a rater charges it.
type history struct {
	cards    []events.RateCard
	accounts []string
	charges  []*events.Debit // nil: void
}

// anyCard is a version that counts calls, tokens or neither.
func anyCard(t *rapid.T, version int, from time.Time) events.RateCard {
	price := func(name string) string { return fmt.Sprint(rapid.IntRange(1, 9).Draw(t, name)) }
	tiers := func(what string) *events.Tiered {
		return &events.Tiered{Quantity: what, Tiers: []events.PriceTier{
			{UpTo: quantity(price("end")), Price: *quantity(price("first"))}, {Price: *quantity(price("later"))},
		}}
	}
	prices := func(what string) events.Price {
		switch rapid.IntRange(0, 2).Draw(t, "kind of price") {
		case 0:
			return events.Price{Graduated: tiers(what)}
		case 1:
			return events.Price{Volume: tiers(what)}
		}
		return events.Price{Flat: quantity(price("flat"))}
	}
	return events.RateCard{Card: "default", Version: version, EffectiveFrom: from, Rules: []events.Rule{
		{Name: rapid.SampledFrom([]string{"search", "find"}).Draw(t, "rule"), Match: events.Match{Operation: "GET **"}, Price: prices("requests")},
		{Name: "rest", Price: prices("tokens")},
	}}
}

// TestChargesComeToWhatTheNewVersionAloneWouldHaveCharged compares the charges of
// a history, each replaced where it differs, with the history rated from scratch;
// also when the replacing is cut off anywhere and begun again.
func TestChargesComeToWhatTheNewVersionAloneWouldHaveCharged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &history{cards: []events.RateCard{anyCard(t, 1, time.Time{})}}
		if rapid.Bool().Draw(t, "has two versions") {
			h.cards = append(h.cards, anyCard(t, 2, noon.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "second from"))*time.Hour)))
		}
		for i := range rapid.IntRange(0, 25).Draw(t, "events") {
			d := &events.Debit{Source: "/api", ID: fmt.Sprint(i), Time: noon.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "hour")) * time.Hour)}
			d.Data.Operation = rapid.SampledFrom([]string{"GET /", "POST /"}).Draw(t, "operation")
			d.Data.Quantities = map[string]events.Quantity{"tokens": events.WholeQuantity(rapid.Int64Range(0, 4).Draw(t, "tokens"))}
			h.accounts, h.charges = append(h.accounts, rapid.SampledFrom([]string{"ada", "bob"}).Draw(t, "account")), append(h.charges, d)
		}
		h.charges = h.fromScratch(t, time.Time{})
		for i := range h.charges {
			if rapid.IntRange(0, 4).Draw(t, "void") == 0 {
				h.charges[i] = nil
			}
		}
		from := noon.Add(time.Duration(rapid.IntRange(-1, 20).Draw(t, "from")) * time.Hour)
		h.cards = append(h.cards, anyCard(t, len(h.cards)+1, from))
		want := h.fromScratch(t, from)
		for range rapid.IntRange(0, 2).Draw(t, "times it is cut off") {
			h.replace(t, from, rapid.IntRange(0, len(h.charges)).Draw(t, "events it gets through"))
		}
		h.replace(t, from, len(h.charges))
		h.equals(t, want)
		if n := h.replace(t, from, len(h.charges)); n != 0 {
			t.Fatalf("%d charges still differ", n)
		}
	})
}

// replace puts the new charges in the place of those that differ, of the first n
// events, and counts them.
func (h *history) replace(t *rapid.T, from time.Time, n int) (replaced int) {
	r := rerate.New(rerate.Config{At: bookOf(t, h.cards...).At, From: from})
	for i, stands := range h.charges[:n] {
		if stands == nil {
			continue
		}
		now, err := r.Charge(h.accounts[i], stands)
		if err == nil {
			err = r.Count(h.accounts[i], now)
		}
		if err != nil {
			t.Fatal(err)
		}
		if now != stands {
			replaced++
		}
		h.charges[i] = now
	}
	return replaced
}

// fromScratch rates all that happened at from or later anew, in the simplest way:
// every counter is added up from the first event on.
func (h *history) fromScratch(t *rapid.T, from time.Time) []*events.Debit {
	done := make([]*events.Debit, len(h.charges))
	for i, c := range h.charges {
		if c == nil || c.Time.Before(from) {
			done[i] = c
			continue
		}
		card := h.cards[0]
		for _, other := range h.cards[1:] { // of higher versions
			if !other.EffectiveFrom.After(c.Time) && !other.EffectiveFrom.Before(card.EffectiveFrom) {
				card = other
			}
		}
		compiled, err := rating.New(card)
		if err != nil {
			t.Fatal(err)
		}
		charge, err := compiled.Rate(c.Usage(h.accounts[i]), rating.Context{Period: month, Used: func(counted events.Counter) (events.Total, error) {
			sum := new(big.Rat)
			for j, d := range done[:i] {
				if d == nil || h.accounts[j] != h.accounts[i] {
					continue
				}
				for _, tier := range d.Tiers {
					if d.Counter(tier) == counted {
						sum.Add(sum, tier.Amount.Rat())
					}
				}
			}
			return events.ParseTotal(sum.FloatString(0))
		}})
		if err != nil {
			t.Fatal(err)
		}
		d := *c
		d.Card, d.Version, d.Rule, d.Amount, d.Arithmetic, d.Tiers = card.Card, card.Version, charge.Rule, charge.Amount, charge.Arithmetic, charge.Tiers
		done[i] = &d
	}
	return done
}

// equals compares what every event costs and counts.
func (h *history) equals(t *rapid.T, want []*events.Debit) {
	for i, d := range h.charges {
		switch {
		case (d == nil) != (want[i] == nil):
			t.Fatalf("event %d is void: %v; want %v", i, d == nil, want[i] == nil)
		case d != nil && (d.Amount != want[i].Amount || len(d.Tiers) != len(want[i].Tiers) || len(d.Tiers) > 0 && d.Rule != want[i].Rule):
			t.Fatalf("event %d of %s costs %s (%s); want %s (%s)", i, h.accounts[i], d.Amount, d.Arithmetic, want[i].Amount, want[i].Arithmetic)
		}
	}
}
