package simulate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// BenchmarkSimulation rates usage of many accounts with the real core.
func BenchmarkSimulation(b *testing.B) {
	price := func(text string) *events.Quantity { q := events.MustQuantity(text); return &q }
	compiled, err := rating.New(events.RateCard{Card: "default", Rules: []events.Rule{
		{Name: "free-errors", Match: events.Match{Status: "5xx"}, Price: events.Price{Flat: price("0")}},
		{Name: "chat", Match: events.Match{Operation: "POST /v1/chat", Attributes: map[string]string{"model": "large"}}, Price: events.Price{
			Flat: price("0.01"), PerUnit: []events.PerUnit{
				{Quantity: "tokens_in", Price: *price("0.15"), Per: *price("1000")}, {Quantity: "tokens_out", Price: *price("0.60"), Per: *price("1000")},
			}, Min: price("0.02"),
		}},
		{Name: "downloads", Match: events.Match{Operation: "GET /files/**"}, Price: events.Price{Package: &events.Package{Quantity: "bytes_out", Size: *price("1048576"), Price: *price("1")}}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	rate := func(u events.Usage, context simulate.Context) (simulate.Charge, error) {
		c, err := compiled.Rate(u, rating.Context(context))
		return simulate.Charge(c), err
	}
	var usage []events.Usage
	for i := range 10_000 {
		u := events.Usage{Source: "/api", ID: fmt.Sprint(i), Account: fmt.Sprintf("account-%d", i/100), Time: noon.Add(time.Duration(i) * time.Second)}
		u.Data = events.UsageData{Operation: "POST /v1/chat", Status: 200, Attributes: map[string]string{"model": "large"}, Quantities: map[string]events.Quantity{
			"tokens_in": events.WholeQuantity(int64(i)), "tokens_out": events.WholeQuantity(10),
		}}
		if i%3 == 0 {
			u.Data = events.UsageData{Operation: "GET /files/a/b", Status: 200, Quantities: map[string]events.Quantity{"bytes_out": events.WholeQuantity(203023)}}
		}
		usage = append(usage, u)
	}
	b.ReportAllocs()
	s, i := simulate.New(simulate.Config{Card: "default", Rate: rate, Since: noon}), 0
	for b.Loop() {
		if err := s.Add(usage[i%len(usage)], events.Credit); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
