package rating_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

var november = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// tiers builds a tiered price from end, price pairs; the last end is "".
func tiers(quantityName string, pairs ...string) *events.Tiered {
	t := &events.Tiered{Quantity: quantityName}
	for i := 0; i < len(pairs); i += 2 {
		tier := events.PriceTier{Price: *quantity(pairs[i+1])}
		if pairs[i] != "" {
			tier.UpTo = quantity(pairs[i])
		}
		t.Tiers = append(t.Tiers, tier)
	}
	return t
}

func total(s string) events.Total {
	parsed, err := events.ParseTotal(s)
	if err != nil {
		panic(err)
	}
	return parsed
}

// stands is a context in which every counter stands at before.
func stands(before string) rating.Context {
	return rating.Context{Plan: "pro", Period: november, Used: func(events.Counter) (events.Total, error) { return total(before), nil }}
}

func moved(part events.TierPart, name, before, amount string) []events.Tier {
	return []events.Tier{{Part: part, Quantity: name, Period: november, Before: total(before), Amount: *quantity(amount)}}
}

func TestEveryKindOfPrice(t *testing.T) {
	t.Parallel()
	graduated := events.Price{Graduated: tiers("requests", "1000", "0.5", "5000", "0.2", "", "0.1")}
	volume := events.Price{Volume: tiers("tokens", "1000", "3", "", "2")}
	volume.Volume.Tiers[1].Per = *quantity("1000")
	matrix := events.Price{Matrix: &events.Matrix{By: []string{"model", "region"}, Quantity: "tokens", Per: *quantity("1000"), Cells: []events.Cell{
		{Values: []string{"large", "eu"}, Price: *quantity("3")}, {Values: []string{"large", ""}, Price: *quantity("2")}}}}
	defaulted := matrix
	defaulted.Matrix = &events.Matrix{By: []string{"model"}, Cells: []events.Cell{{Values: []string{"large"}, Price: *quantity("3")}}, Default: quantity("0.5")}
	times := func(p events.Price, pairs ...string) events.Price {
		for i := 0; i < len(pairs); i += 2 {
			p.Multiply = append(p.Multiply, events.Multiplier{When: pairs[i], By: *quantity(pairs[i+1])})
		}
		return p
	}
	bounded := func(p events.Price, least, most string) events.Price {
		p.Min, p.Max = quantity(least), quantity(most)
		return p
	}
	flat := events.Price{Flat: quantity("0.25")}
	attributes := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	all := flat
	all.PerUnit, all.Graduated, all.Matrix = []events.PerUnit{perUnit("pages", "5", "1")}, graduated.Graduated, defaulted.Matrix
	cases := map[string]struct {
		price      events.Price
		before     string // where all counters stand
		used       map[string]events.Quantity
		attributes map[string]string
		amount     string
		arithmetic string
		tiers      []events.Tier
	}{
		"the first tier begins at 0":                    {price: graduated, before: "0", amount: "0.5", arithmetic: "1 × 0.5 (requests 0 to 1) = 0.5", tiers: moved("graduated", "requests", "0", "1")},
		"the last unit of a tier has its price":         {price: graduated, before: "999", amount: "0.5", arithmetic: "1 × 0.5 (requests 999 to 1000) = 0.5", tiers: moved("graduated", "requests", "999", "1")},
		"the next unit has the next price":              {price: graduated, before: "1000", amount: "0.2", arithmetic: "1 × 0.2 (requests 1000 to 1001) = 0.2", tiers: moved("graduated", "requests", "1000", "1")},
		"units are spread over the tiers they fall in":  {price: graduated, before: "700", used: used("requests", "4500"), amount: "970", arithmetic: "300 × 0.5 (requests 700 to 1000) + 4000 × 0.2 (requests 1000 to 5000) + 200 × 0.1 (requests 5000 to 5200) = 970", tiers: moved("graduated", "requests", "700", "4500")},
		"a unit is split where a tier ends":             {price: graduated, before: "999.5", amount: "0.35", arithmetic: "0.5 × 0.5 (requests 999.5 to 1000) + 0.5 × 0.2 (requests 1000 to 1000.5) = 0.35", tiers: moved("graduated", "requests", "999.5", "1")},
		"no units move no counter":                      {price: graduated, before: "1000", used: used("requests", "0"), amount: "0", arithmetic: "0 × 0.2 (requests 1000 to 1000) = 0"},
		"all units have the price of the total":         {price: volume, before: "990", used: used("tokens", "11"), amount: "0.022", arithmetic: "11 / 1000 × 2 (tokens 990 to 1001) = 0.022", tiers: moved("volume", "tokens", "990", "11")},
		"a total at the end of a tier belongs to it":    {price: volume, before: "990", used: used("tokens", "10"), amount: "30", arithmetic: "10 × 3 (tokens 990 to 1000) = 30", tiers: moved("volume", "tokens", "990", "10")},
		"a total beyond 18 digits is exact":             {price: graduated, before: "9999999999999999999.5", amount: "0.1", arithmetic: "1 × 0.1 (requests 9999999999999999999.5 to 10000000000000000000.5) = 0.1", tiers: moved("graduated", "requests", "9999999999999999999.5", "1")},
		"attributes choose the cell":                    {price: matrix, used: used("tokens", "500"), attributes: attributes("model", "large", "region", "eu"), amount: "1.5", arithmetic: "500 / 1000 × 3 (large, eu) = 1.5"},
		"an absent attribute has the empty value":       {price: matrix, used: used("tokens", "500"), attributes: attributes("model", "large"), amount: "1", arithmetic: "500 / 1000 × 2 (large, ) = 1"},
		"the default holds where there is no cell":      {price: defaulted, attributes: attributes("model", "tiny"), amount: "0.5", arithmetic: "1 × 0.5 (default) = 0.5"},
		"a multiplier whose condition holds multiplies": {price: times(flat, `plan == "pro"`, "10"), amount: "2.5", arithmetic: "0.25 × 10 = 2.5"},
		"and one whose condition does not does not":     {price: times(flat, `plan == "max"`, "10", `status == 0`, "0.5"), amount: "0.125", arithmetic: "0.25 × 0.5 = 0.125"},
		"multipliers multiply a sum":                    {price: times(events.Price{PerUnit: []events.PerUnit{perUnit("pages", "5", "1")}}, "status == 0", "10", "status == 0", "0.5"), used: used("pages", "3"), amount: "75", arithmetic: "3 × 5 = 15; 15 × 10 × 0.5 = 75"},
		"a multiplier of 0 makes it free":               {price: times(flat, "status == 0", "0"), amount: "0", arithmetic: "0.25 × 0 = 0"},
		"a maximum bounds a flat price":                 {price: bounded(flat, "0.1", "0.2"), amount: "0.2", arithmetic: "min(0.25, max 0.2) = 0.2"},
		"a maximum bounds what was multiplied":          {price: bounded(times(flat, "status == 0", "10"), "0.1", "2"), amount: "2", arithmetic: "0.25 × 10 = 2.5; min(2.5, max 2) = 2"},
		"a minimum bounds what was multiplied":          {price: bounded(times(flat, "status == 0", "0.1"), "0.1", "2"), amount: "0.1", arithmetic: "0.25 × 0.1 = 0.025; max(0.025, min 0.1) = 0.1"},
		"a maximum that is not reached is silent":       {price: bounded(flat, "0.25", "0.25"), amount: "0.25", arithmetic: "0.25"},
		"a third above the maximum is bounded":          {price: bounded(events.Price{PerUnit: []events.PerUnit{perUnit("requests", "1", "3")}}, "0", "0.333333333333"), amount: "0.333333", arithmetic: "1 / 3 × 1 = 0.333333333333333333…; min(0.333333333333333333…, max 0.333333333333) = 0.333333333333 → 0.333333 (half_up)"},
		"all parts are summed": {price: times(bounded(all, "1", "100"), "status == 0", "2"), before: "999", used: used("pages", "2"), attributes: attributes("model", "large"), amount: "27.5",
			arithmetic: "0.25 + 2 × 5 + 1 × 0.5 (requests 999 to 1000) + 1 × 3 (large) = 13.75; 13.75 × 2 = 27.5", tiers: moved("graduated", "requests", "999", "1")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "default", Rules: []events.Rule{{Name: "r", Price: tc.price}}})
			if err != nil {
				t.Fatal(err)
			}
			if tc.before == "" {
				tc.before = "0"
			}
			got, err := card.Rate(events.Usage{Data: events.UsageData{Operation: "x", Quantities: tc.used, Attributes: tc.attributes}}, stands(tc.before))
			if err != nil {
				t.Fatal(err)
			}
			want := rating.Charge{Amount: events.MustCredits(tc.amount), Rule: "r", Arithmetic: tc.arithmetic, Tiers: tc.tiers}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(events.Quantity{}, events.Total{})); diff != "" {
				t.Errorf("charge (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACounterIsAskedByItsName(t *testing.T) {
	t.Parallel()
	card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Price: events.Price{Graduated: tiers("a", "", "1"), Volume: tiers("b", "", "1")}}}})
	if err != nil {
		t.Fatal(err)
	}
	var asked []events.Counter
	_, err = card.Rate(events.Usage{}, rating.Context{Used: func(c events.Counter) (events.Total, error) { asked = append(asked, c); return events.Total{}, nil }})
	want := []events.Counter{{Card: "c", Rule: "r", Part: events.PartGraduated, Quantity: "a"}, {Card: "c", Rule: "r", Part: events.PartVolume, Quantity: "b"}}
	if diff := cmp.Diff(want, asked); diff != "" || err != nil {
		t.Errorf("asked (-want +got):\n%s%v", diff, err)
	}
}

func TestPlanAndConditionMatch(t *testing.T) {
	t.Parallel()
	usage := events.Usage{Account: "acme", Time: november.Add(3 * time.Hour), Data: events.UsageData{Operation: "GET /a", Attributes: map[string]string{"render": "js"}}}
	for name, tc := range map[string]struct {
		match events.Match
		want  bool
	}{
		"the account's plan":                   {events.Match{Plan: "pro"}, true},
		"another plan":                         {events.Match{Plan: "max"}, false},
		"a condition that holds":               {events.Match{When: `attributes["render"] == "js" && time.getHours() < 7 && account == "acme"`}, true},
		"a condition that does not":            {events.Match{When: `attributes["render"] == "no"`}, false},
		"a condition of a rule for others":     {events.Match{Plan: "max", When: `1 / status > 0`}, false},
		"a condition about the account's plan": {events.Match{When: `plan == "pro"`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Match: tc.match, Price: events.Price{Flat: quantity("1")}}, {Name: "rest", Price: events.Price{Flat: quantity("2")}}}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := card.Rate(usage, stands("0"))
			if err != nil || (got.Rule == "r") != tc.want {
				t.Errorf("rated by %q, %v", got.Rule, err)
			}
		})
	}
}

func TestWhatCannotBePricedIsUnratable(t *testing.T) {
	t.Parallel()
	one := events.Price{Flat: quantity("1")}
	fails := one
	fails.Multiply = []events.Multiplier{{When: "status == 0", By: *quantity("2")}, {When: "1 / status > 0", By: *quantity("2")}}
	for name, tc := range map[string]struct {
		rule events.Rule
		want string
	}{
		"a condition that fails":    {events.Rule{Name: "r", Match: events.Match{When: "1 / status > 0"}, Price: one}, `rule "r": evaluate the condition: division by zero`},
		"a multiplier that fails":   {events.Rule{Name: "r", Price: fails}, `rule "r": multiply, element 2: evaluate the condition: division by zero`},
		"a cell that is not there":  {events.Rule{Name: "r", Price: events.Price{Matrix: &events.Matrix{By: []string{"model", "region"}, Cells: []events.Cell{{Values: []string{"a", "b"}, Price: *quantity("1")}}}}}, `rule "r": the matrix has no cell for model="gpt", region="" and no default`},
		"a rule for something else": {events.Rule{Name: "r", Match: events.Match{Project: "web"}, Price: one}, "rate card c version 0: no rule matches"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{tc.rule}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := card.Rate(events.Usage{Data: events.UsageData{Attributes: map[string]string{"model": "gpt"}}}, rating.Context{})
			if !errors.Is(err, rating.ErrUnratable) || err.Error() != tc.want {
				t.Errorf("got %v, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestACounterThatOverflowsIsAnError(t *testing.T) {
	t.Parallel()
	for name, price := range map[string]events.Price{"graduated": {Graduated: tiers("a", "", "0")}, "volume": {Volume: tiers("a", "", "0")}} {
		card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Price: price}}})
		if err != nil {
			t.Fatal(err)
		}
		usage := events.Usage{Data: events.UsageData{Quantities: used("a", "0.000000000001")}}
		if got, err := card.Rate(usage, stands("18446744073709551615.999999999999")); !errors.Is(err, events.ErrOverflow) {
			t.Errorf("%s: %v, %v; want ErrOverflow", name, got, err)
		}
		if _, err := card.Rate(usage, stands("18446744073709551615.999999999998")); err != nil {
			t.Errorf("%s, at the end: %v", name, err)
		}
	}
}

func TestNewRefusesPricesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	cell := func(values ...string) events.Cell { return events.Cell{Values: values, Price: *quantity("1")} }
	for name, tc := range map[string]struct {
		price events.Price
		want  string
	}{
		"no tiers":                        {events.Price{Graduated: &events.Tiered{Quantity: "a"}}, "expected at least one tier"},
		"tiers that end":                  {events.Price{Graduated: tiers("a", "5", "1")}, `graduated tier 1 of "a": expected no end in the last tier, found up_to 5`},
		"tiers with a gap":                {events.Price{Volume: tiers("a", "", "1", "", "2")}, `volume tier 1 of "a": expected an end: another tier follows`},
		"tiers that do not rise":          {events.Price{Volume: tiers("a", "5", "1", "5", "1", "", "2")}, `volume tier 2 of "a": expected an end above 5, found up_to 5`},
		"a matrix by nothing":             {events.Price{Matrix: &events.Matrix{Cells: []events.Cell{cell()}}}, "expected attributes and cells"},
		"a matrix without cells":          {events.Price{Matrix: &events.Matrix{By: []string{"a"}}}, "expected attributes and cells"},
		"a matrix by one attribute twice": {events.Price{Matrix: &events.Matrix{By: []string{"a", "a"}, Cells: []events.Cell{cell("x", "y")}}}, "twice"},
		"a cell of another size":          {events.Price{Matrix: &events.Matrix{By: []string{"a"}, Cells: []events.Cell{cell("x", "y")}}}, "cell 1: found 2 values, expected 1"},
		"a cell given twice":              {events.Price{Matrix: &events.Matrix{By: []string{"a"}, Cells: []events.Cell{cell("x"), cell("x")}}}, "cell 2"},
		"a minimum above the maximum":     {events.Price{Flat: quantity("1"), Min: quantity("2"), Max: quantity("1.999999999999")}, "min 2: expected at most the max of 1.999999999999"},
		"a maximum of nothing":            {events.Price{Max: quantity("1")}, "expected flat"},
		"a multiplier without condition":  {events.Price{Flat: quantity("1"), Multiply: []events.Multiplier{{By: *quantity("1")}}}, "multiply, element 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Price: tc.price}}})
			if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want ErrInvalid: %s", err, tc.want)
			}
		})
	}
	if _, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Match: events.Match{When: "foo"}, Price: events.Price{Flat: quantity("1")}}}}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a condition that does not compile: %v", err)
	}
}

// Six of these conditions exceed condition.SumMax, five do not.
func TestNewRefusesConditionsThatCostTooMuchTogether(t *testing.T) {
	t.Parallel()
	const dear = `attributes.exists(a, attributes.exists(c, a != c && attributes[a] == "q"))`
	card := func(rules, whens, multipliers int) error {
		c := events.RateCard{Card: "c"}
		for i := range rules {
			r := events.Rule{Name: "r" + strconv.Itoa(i), Price: events.Price{Flat: quantity("1")}}
			if i < whens {
				r.Match.When = dear
			}
			for range multipliers {
				r.Price.Multiply = append(r.Price.Multiply, events.Multiplier{When: dear, By: *quantity("2")})
			}
			c.Rules = append(c.Rules, r)
		}
		_, err := rating.New(c)
		return err
	}
	for _, fits := range [][3]int{{5, 5, 0}, {10, 0, 5}, {10, 4, 1}} {
		if err := card(fits[0], fits[1], fits[2]); err != nil {
			t.Errorf("%d rules, %d conditions of matches and %d of a price: %v", fits[0], fits[1], fits[2], err)
		}
	}
	for _, exceeds := range [][3]int{{6, 6, 0}, {1, 0, 6}, {10, 5, 1}} {
		err := card(exceeds[0], exceeds[1], exceeds[2])
		if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), `rule "r0": found conditions that may cost`) {
			t.Errorf("%d rules, %d conditions of matches and %d of a price: error %v, want ErrInvalid and the rule", exceeds[0], exceeds[1], exceeds[2], err)
		}
	}
}

func TestACardIsUsedBySeveralGoroutines(t *testing.T) {
	t.Parallel()
	card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{
		{Name: "r", Match: events.Match{When: `attributes["model"] == "large"`}, Price: events.Price{Graduated: tiers("pages", "10", "0.5", "", "0.2"),
			Multiply: []events.Multiplier{{When: `quantities["pages"] > 5`, By: *quantity("2")}}}},
		{Name: "rest", Price: events.Price{Flat: quantity("1")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 8 {
		model, want := "large", events.MustCredits("10.8") // 10 × 0.5 + 2 × 0.2, twice
		if n%2 == 1 {
			model, want = "small", events.MustCredits("1")
		}
		usage := events.Usage{Data: events.UsageData{Quantities: used("pages", "12"), Attributes: map[string]string{"model": model}}}
		all.Go(func() {
			for range 50 {
				if got, err := card.Rate(usage, rating.Context{}); err != nil || got.Amount != want {
					t.Errorf("%s: %s, %v; want %s", model, got.Amount, err, want)
					return
				}
			}
		})
	}
	all.Wait()
}
