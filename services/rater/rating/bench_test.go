package rating_test

import (
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

func BenchmarkRate(b *testing.B) {
	free := events.Rule{Name: "free-errors", Match: events.Match{Status: "5xx"}, Price: events.Price{Flat: quantity("0")}}
	bench := func(name string, data events.UsageData, rules ...events.Rule) {
		b.Run(name, func(b *testing.B) {
			card, err := rating.New(events.RateCard{Card: "default", Rules: append([]events.Rule{free}, rules...)})
			if err != nil {
				b.Fatal(err)
			}
			u := events.Usage{Data: data}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := card.Rate(u, rating.Context{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	tokens := used("tokens_in", "4808", "tokens_out", "10")
	chat := events.Price{PerUnit: []events.PerUnit{perUnit("tokens_in", "0.15", "1000"), perUnit("tokens_out", "0.60", "1000")}, Min: quantity("0.02")}
	bench("chat", events.UsageData{Operation: "POST /v1/chat", Status: 200, Quantities: tokens, Attributes: map[string]string{"model": "large"}},
		events.Rule{Name: "chat", Match: events.Match{Operation: "POST /v1/chat", Attributes: map[string]string{"model": "large"}}, Price: chat})
	bench("package", events.UsageData{Operation: "GET /files/a/b", Status: 200, Quantities: used("bytes_out", "203023")},
		events.Rule{Name: "downloads", Match: events.Match{Operation: "GET /files/**"}, Price: events.Price{Flat: quantity("0.25"), Package: pack("bytes_out", "1048576", "1")}})
	bench("thirds", events.UsageData{Operation: "GET /a", Quantities: used("bytes_out", "203023")},
		events.Rule{Name: "a", Price: events.Price{PerUnit: []events.PerUnit{perUnit("bytes_out", "1", "3")}}})
	bench("big", events.UsageData{Operation: "GET /a", Quantities: used("bytes_out", "0.203023")},
		events.Rule{Name: "a", Price: events.Price{PerUnit: []events.PerUnit{perUnit("bytes_out", "0.000000000001", "999999999999999989")}}})
	when := events.Match{When: `attributes["render"] == "js" && quantities["pages"] > 10.0`}
	rendered := events.UsageData{Operation: "GET /a", Quantities: used("pages", "12"), Attributes: map[string]string{"render": "js", "proxy": "residential", "model": "large"}}
	pages := []events.PerUnit{perUnit("pages", "5", "1")}
	bench("when", rendered, events.Rule{Name: "a", Match: when, Price: events.Price{PerUnit: pages}})
	bench("multiply", rendered, events.Rule{Name: "a", Price: events.Price{PerUnit: pages,
		Multiply: []events.Multiplier{{When: `attributes["proxy"] == "residential"`, By: *quantity("10")}}}})
	bench("multiply by the hour", rendered, events.Rule{Name: "a", Price: events.Price{PerUnit: pages,
		Multiply: []events.Multiplier{{When: `time.getHours("Europe/Berlin") < 6`, By: *quantity("0.5")}}}})
	bench("graduated in one tier", rendered, events.Rule{Name: "a", Price: events.Price{Graduated: tiers("pages", "1000", "0.5", "", "0.2")}})
	bench("graduated over three tiers", rendered, events.Rule{Name: "a", Price: events.Price{Graduated: tiers("pages", "5", "0.5", "10", "0.2", "", "0.1")}})
	bench("volume", rendered, events.Rule{Name: "a", Price: events.Price{Volume: tiers("pages", "5", "0.5", "10", "0.2", "", "0.1")}})
	bench("matrix", rendered, events.Rule{Name: "a", Price: events.Price{Matrix: &events.Matrix{By: []string{"model", "render"}, Quantity: "pages",
		Cells: []events.Cell{{Values: []string{"large", "js"}, Price: *quantity("3")}}}}})
	bench("hostile glob", events.UsageData{Operation: strings.Repeat("a", 511) + "b"},
		events.Rule{Name: "a", Match: events.Match{Operation: strings.Repeat("a*", 120) + "b**c**"}, Price: events.Price{Flat: quantity("1")}},
		events.Rule{Name: "b", Price: events.Price{Flat: quantity("1")}})
}
