package simulation

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// call is what an event says of itself.
type call struct {
	operation          string
	tokens             int64
	project, key, size string
}

// Operations that the rate card prices, and one that it does not.
const (
	chat     = "POST /chat"
	ping     = "GET /ping"
	report   = "GET /report"
	search   = "GET /search" // by graduated tiers of tokens
	render   = "GET /render" // by the volume of calls
	paint    = "POST /paint" // by size
	scrape   = "POST /scrape"
	unpriced = "GET /nobody/prices/this"
)

func (l *load) call() call {
	return call{
		operation: pick(l.w, []string{chat, chat, ping, report, search, search, render, render, paint, scrape}), tokens: int64(l.w.rng.IntN(2000)),
		project: pick(l.w, []string{"", "web", "app"}), key: pick(l.w, []string{"", "k1", "k2"}), size: pick(l.w, []string{"", "large", "small"}),
	}
}

// data is the call as an event has it.
func (c call) data() events.UsageData {
	d := events.UsageData{
		Operation: c.operation, Quantities: map[string]events.Quantity{"tokens": events.WholeQuantity(c.tokens)}, Project: c.project, Key: c.key,
	}
	if c.size != "" {
		d.Attributes = map[string]string{"size": c.size}
	}
	return d
}

// card is the rate card. What it charges, price says in another way.
func card() events.RateCard {
	flat := func(s string) *events.Quantity { q := events.MustQuantity(s); return &q }
	thousand := events.WholeQuantity(1000)
	tier := func(upTo int64, price string, per events.Quantity) events.PriceTier {
		t := events.PriceTier{Price: events.MustQuantity(price), Per: per}
		if upTo > 0 {
			t.UpTo = new(events.WholeQuantity(upTo))
		}
		return t
	}
	return events.RateCard{Card: events.DefaultCard, Rules: []events.Rule{
		{Name: "chat", Match: events.Match{Operation: chat}, Price: events.Price{Flat: flat("0.01"), PerUnit: []events.PerUnit{{
			Quantity: "tokens", Price: events.WholeQuantity(1), Per: thousand,
		}}}},
		{Name: "ping", Match: events.Match{Operation: ping}, Price: events.Price{Flat: flat("0.000001")}},
		{Name: "report", Match: events.Match{Operation: report, Plan: "owing"}, Price: events.Price{Flat: flat("0.5")}},
		{Name: "report-others", Match: events.Match{Operation: report}, Price: events.Price{Flat: flat("1")}},
		{Name: "search", Match: events.Match{Operation: search}, Price: events.Price{Graduated: &events.Tiered{Quantity: "tokens", Tiers: []events.PriceTier{
			tier(1500, "1", thousand), tier(4000, "0.5", thousand), tier(0, "0.1", thousand),
		}}}},
		{Name: "render", Match: events.Match{Operation: render}, Price: events.Price{Volume: &events.Tiered{Quantity: "requests", Tiers: []events.PriceTier{
			tier(2, "0.5", events.Quantity{}), tier(4, "0.3", events.Quantity{}), tier(0, "0.1", events.Quantity{}),
		}}}},
		{Name: "paint", Match: events.Match{Operation: paint}, Price: events.Price{
			Matrix: &events.Matrix{By: []string{"size"}, Quantity: "tokens", Per: thousand, Default: flat("1"), Cells: []events.Cell{
				{Values: []string{"large"}, Price: events.WholeQuantity(2)}, {Values: []string{"small"}, Price: events.MustQuantity("0.5")},
			}},
			Multiply: []events.Multiplier{{When: `project == "web"`, By: events.MustQuantity("0.5")}},
		}},
		{Name: "scrape-much", Match: events.Match{Operation: scrape, When: `quantities["tokens"] > 1000.0 && attributes["size"] == "large"`}, Price: events.Price{Flat: flat("2")}},
		{Name: "scrape", Match: events.Match{Operation: scrape}, Price: events.Price{Flat: flat("0.2")}},
	}}
}

// counter is what one rule counts of an account in a billing period.
type counter struct {
	account, rule string
	period        time.Time
}

// price is what the card charges an account for a call, in micro-credits, by
// which rule, and how much that counts, of an account that has used so much
// before.
func price(c call, plan string, used func(rule string) int64) (rule string, uc, counts int64) {
	switch c.operation {
	case chat:
		return "chat", 10_000 + 1000*c.tokens, 0
	case ping:
		return "ping", 1, 0
	case report:
		if plan == "owing" {
			return "report", 500_000, 0
		}
		return "report-others", 1_000_000, 0
	case search:
		before := used("search")
		return "search", graduated(before+c.tokens) - graduated(before), c.tokens
	case render:
		switch before := used("render"); {
		case before < 2:
			return "render", 500_000, 1
		case before < 4:
			return "render", 300_000, 1
		}
		return "render", 100_000, 1
	case paint:
		uc = map[string]int64{"large": 2000, "small": 500, "": 1000}[c.size] * c.tokens
		if c.project == "web" {
			uc /= 2
		}
		return "paint", uc, 0
	case scrape:
		if c.tokens > 1000 && c.size == "large" {
			return "scrape-much", 2_000_000, 0
		}
		return "scrape", 200_000, 0
	}
	panic(fmt.Sprintf("no price for %+v", c))
}

// graduated is what so many tokens cost in all.
func graduated(tokens int64) int64 {
	return 1000*min(tokens, 1500) + 500*min(max(tokens-1500, 0), 2500) + 100*max(tokens-4000, 0)
}
