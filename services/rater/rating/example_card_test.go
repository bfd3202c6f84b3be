package rating_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

func TestExamplesComeTrueOrSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	example := func(credits string, e events.ExampleEvent) []events.Example {
		return []events.Example{{Event: e, Credits: events.MustCredits(credits)}}
	}
	card := events.RateCard{Card: "c", Rules: []events.Rule{
		{Name: "search", Match: events.Match{Operation: "GET /search", Plan: "pro"}, Price: events.Price{Graduated: tiers("requests", "10", "0.5", "", "0.2")},
			Examples: append(append(example("0.2", events.ExampleEvent{Operation: "GET /search", Plan: "pro", Used: used("requests", "10")}),
				example("0.5", events.ExampleEvent{Operation: "GET /search", Plan: "pro", Used: used("requests", "10")})...),
				example("2", events.ExampleEvent{Operation: "GET /search"})...)},
		{Name: "night", Match: events.Match{When: "time.getHours() < 7 && account == \"acme\""}, Price: events.Price{Flat: quantity("1")}},
		{Name: "chat", Match: events.Match{Operation: "POST **"}, Price: events.Price{Matrix: &events.Matrix{By: []string{"model"}, Cells: []events.Cell{{Values: []string{"a"}, Price: *quantity("3")}}}}},
		{Name: "rest", Match: events.Match{Operation: "GET **"}, Price: events.Price{Flat: quantity("2")}},
	}}
	card.Examples = append(append(append(example("1", events.ExampleEvent{Operation: "x", Account: "acme"}),
		example("1", events.ExampleEvent{Operation: "x"})...),
		example("3", events.ExampleEvent{Operation: "POST /a"})...),
		example("2", events.ExampleEvent{Operation: "GET /a", Time: november})...)
	outcomes, err := rating.Test(card)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range outcomes {
		got[o.Path] = o.Fault()
	}
	want := map[string]string{
		"/rules/0/examples/0": "",
		"/rules/0/examples/1": `found 0.2 credits by rule "search" (1 × 0.2 (requests 10 to 11) = 0.2); expected 0.5`,
		"/rules/0/examples/2": `found rule "rest" rating the call at 2 credits; expected rule "search" and 2 credits`,
		"/examples/0":         "",
		"/examples/1":         "found no charge (rate card c version 0: no rule matches); expected 1 credits",
		"/examples/2":         `found no charge (rule "chat": the matrix has no cell for model="" and no default); expected 3 credits`,
		"/examples/3":         "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if _, err := rating.Test(events.RateCard{Card: "c"}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a card without rules: %v, want ErrInvalid", err)
	}
}
