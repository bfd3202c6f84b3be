package rating_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

func quantity(s string) *events.Quantity {
	q := events.MustQuantity(s)
	return &q
}

func perUnit(name, price, per string) events.PerUnit {
	return events.PerUnit{Quantity: name, Price: *quantity(price), Per: *quantity(per)}
}

func pack(name, size, price string) *events.Package {
	return &events.Package{Quantity: name, Size: *quantity(size), Price: *quantity(price)}
}

// used builds quantities from name, value pairs.
func used(pairs ...string) map[string]events.Quantity {
	m := map[string]events.Quantity{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = events.MustQuantity(pairs[i+1])
	}
	return m
}

func TestPrice(t *testing.T) {
	t.Parallel()
	flat := func(s string) events.Price { return events.Price{Flat: quantity(s)} }
	units := func(terms ...events.PerUnit) events.Price { return events.Price{PerUnit: terms} }
	cases := map[string]struct {
		price      events.Price
		rounding   events.Rounding
		used       map[string]events.Quantity
		amount     string
		arithmetic string
	}{
		"charges a flat price per call":                 {price: flat("0.25"), amount: "0.25", arithmetic: "0.25"},
		"charges nothing at price 0":                    {price: flat("0"), amount: "0", arithmetic: "0"},
		"charges each started package on top of a call": {price: events.Price{Flat: quantity("0.25"), Package: pack("bytes_out", "1048576", "1")}, used: used("bytes_out", "203023"), amount: "1.25", arithmetic: "0.25 + ceil(203023 / 1048576) × 1 = 1.25"},
		"charges one package when it is just full":      {price: events.Price{Package: pack("b", "1048576", "1")}, used: used("b", "1048576"), amount: "1", arithmetic: "ceil(1048576 / 1048576) × 1 = 1"},
		"charges a second package for one byte more":    {price: events.Price{Package: pack("b", "1048576", "1")}, used: used("b", "1048577"), amount: "2", arithmetic: "ceil(1048577 / 1048576) × 1 = 2"},
		"charges no package for nothing":                {price: events.Price{Package: pack("b", "10", "1")}, amount: "0", arithmetic: "ceil(0 / 10) × 1 = 0"},
		"starts a package with any fraction":            {price: events.Price{Package: pack("b", "0.5", "0.1")}, used: used("b", "1.000000000001"), amount: "0.3", arithmetic: "ceil(1.000000000001 / 0.5) × 0.1 = 0.3"},
		"charges units in proportion": {
			price: units(perUnit("in", "0.15", "1000"), perUnit("out", "0.60", "1000")), used: used("in", "4808", "out", "10"),
			amount: "0.7272", arithmetic: "4808 / 1000 × 0.15 + 10 / 1000 × 0.6 = 0.7272",
		},
		"writes no divisor of 1":                      {price: units(perUnit("pages", "5", "1")), used: used("pages", "3"), amount: "15", arithmetic: "3 × 5 = 15"},
		"takes an absent per for 1":                   {price: events.Price{PerUnit: []events.PerUnit{{Quantity: "pages", Price: *quantity("5")}}}, used: used("pages", "3"), amount: "15", arithmetic: "3 × 5 = 15"},
		"takes absent requests for 1":                 {price: units(perUnit("requests", "2", "1")), amount: "2", arithmetic: "1 × 2 = 2"},
		"takes any other absent quantity for 0":       {price: units(perUnit("pages", "2", "1")), amount: "0", arithmetic: "0 × 2 = 0"},
		"raises a flat price to the minimum":          {price: events.Price{Flat: quantity("0.0015"), Min: quantity("0.02")}, amount: "0.02", arithmetic: "max(0.0015, min 0.02) = 0.02"},
		"raises a sum to the minimum":                 {price: events.Price{PerUnit: []events.PerUnit{perUnit("in", "0.15", "1000")}, Min: quantity("0.02")}, used: used("in", "10"), amount: "0.02", arithmetic: "10 / 1000 × 0.15 = 0.0015; max(0.0015, min 0.02) = 0.02"},
		"is silent about a minimum already reached":   {price: events.Price{Flat: quantity("0.02"), Min: quantity("0.02")}, amount: "0.02", arithmetic: "0.02"},
		"charges a minimum alone":                     {price: events.Price{Min: quantity("0.02")}, amount: "0.02", arithmetic: "max(0, min 0.02) = 0.02"},
		"rounds a flat price down below half":         {price: flat("0.00000015"), amount: "0", arithmetic: "0.00000015 → 0 (half_up)"},
		"rounds a half up by default":                 {price: flat("0.0000005"), amount: "0.000001", arithmetic: "0.0000005 → 0.000001 (half_up)"},
		"rounds half_up just below a half down":       {price: flat("0.000000499999"), amount: "0", arithmetic: "0.000000499999 → 0 (half_up)"},
		"rounds half_even to an even 0":               {price: flat("0.0000005"), rounding: events.RoundHalfEven, amount: "0", arithmetic: "0.0000005 → 0 (half_even)"},
		"rounds half_even to an even 2":               {price: flat("0.0000015"), rounding: events.RoundHalfEven, amount: "0.000002", arithmetic: "0.0000015 → 0.000002 (half_even)"},
		"rounds half_even up past a half":             {price: flat("0.000000500001"), rounding: events.RoundHalfEven, amount: "0.000001", arithmetic: "0.000000500001 → 0.000001 (half_even)"},
		"rounds up the smallest excess":               {price: flat("0.000000000001"), rounding: events.RoundUp, amount: "0.000001", arithmetic: "0.000000000001 → 0.000001 (up)"},
		"rounds up nothing that is whole":             {price: flat("0.000001"), rounding: events.RoundUp, amount: "0.000001", arithmetic: "0.000001"},
		"rounds down the largest excess":              {price: flat("0.000001999999"), rounding: events.RoundDown, amount: "0.000001", arithmetic: "0.000001999999 → 0.000001 (down)"},
		"rounds once, after the sum":                  {price: units(perUnit("a", "0.0000005", "1"), perUnit("b", "0.0000005", "1")), used: used("a", "1", "b", "1"), amount: "0.000001", arithmetic: "1 × 0.0000005 + 1 × 0.0000005 = 0.000001"},
		"rounds a minimum too":                        {price: events.Price{Min: quantity("0.00000015")}, amount: "0", arithmetic: "max(0, min 0.00000015) = 0.00000015 → 0 (half_up)"},
		"shows that a third goes on":                  {price: units(perUnit("a", "1", "3")), used: used("a", "1"), amount: "0.333333", arithmetic: "1 / 3 × 1 = 0.333333333333333333… → 0.333333 (half_up)"},
		"adds thirds exactly":                         {price: units(perUnit("a", "1", "3"), perUnit("b", "1", "1.5")), used: used("a", "1", "b", "1"), amount: "1", arithmetic: "1 / 3 × 1 + 1 / 1.5 × 1 = 1"},
		"charges the most a charge may be":            {price: flat("1000000000"), amount: "1000000000", arithmetic: "1000000000"},
		"is exact where a product exceeds 128 bits":   {price: units(perUnit("a", "999999999999999999", "999999999999999999"), perUnit("b", "1", "999999999999999989")), used: used("a", "0.999999999999", "b", "1"), amount: "1", arithmetic: "0.999999999999 / 999999999999999999 × 999999999999999999 + 1 / 999999999999999989 × 1 = 0.999999999999000001… → 1 (half_up)"},
		"carries from one 64-bit word to the next":    {price: units(perUnit("a", "0.1", "999983"), perUnit("b", "0.1", "999983")), used: used("a", "120000000000000", "b", "120000000000000"), amount: "24000408.006936", arithmetic: "120000000000000 / 999983 × 0.1 + 120000000000000 / 999983 × 0.1 = 24000408.006936117914004538… → 24000408.006936 (half_up)"},
		"rounds up a remainder beyond the shown ones": {price: events.Price{Flat: quantity("1"), PerUnit: []events.PerUnit{perUnit("a", "0.000000000001", "999999999999999999")}}, rounding: events.RoundUp, used: used("a", "0.000000000001"), amount: "1.000001", arithmetic: "1 + 0.000000000001 / 999999999999999999 × 0.000000000001 = 1.000000000000000000… → 1.000001 (up)"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card := events.RateCard{Card: "default", Rounding: tc.rounding, Rules: []events.Rule{{Name: "r", Price: tc.price}}}
			compiled, err := rating.New(card)
			if err != nil {
				t.Fatal(err)
			}
			got, err := compiled.Rate(events.Usage{Data: events.UsageData{Operation: "x", Quantities: tc.used}}, rating.Context{})
			if err != nil {
				t.Fatal(err)
			}
			want := rating.Charge{Amount: events.MustCredits(tc.amount), Rule: "r", Arithmetic: tc.arithmetic}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("charge (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOverflowIsAnError(t *testing.T) {
	t.Parallel()
	big := perUnit("a", "1000000", "1")
	cases := map[string]struct {
		price events.Price
		used  map[string]events.Quantity
	}{
		"a micro-credit beyond the most":       {price: events.Price{Flat: quantity("1000000000.000001")}},
		"rounding up beyond the most":          {price: events.Price{Flat: quantity("1000000000.0000005")}},
		"a quantity beyond the most":           {price: events.Price{PerUnit: []events.PerUnit{big}}, used: used("a", "1000000")},
		"a product beyond 64 bits":             {price: events.Price{PerUnit: []events.PerUnit{big}}, used: used("a", "999999999999999999")},
		"a product beyond 128 bits":            {price: events.Price{PerUnit: []events.PerUnit{perUnit("a", "999999999999999999", "0.000000000001")}}, used: used("a", "999999999999999999")},
		"packages beyond 64 bits":              {price: events.Price{Package: pack("a", "0.000000000001", "1")}, used: used("a", "999999999999999999")},
		"a minimum beyond the most":            {price: events.Price{Min: quantity("1000000001")}},
		"a sum whose parts are below the most": {price: events.Price{Flat: quantity("999999999"), PerUnit: []events.PerUnit{perUnit("a", "2", "1")}}, used: used("a", "1")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "default", Rules: []events.Rule{{Name: "r", Price: tc.price}}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := card.Rate(events.Usage{Data: events.UsageData{Quantities: tc.used}}, rating.Context{})
			if !errors.Is(err, events.ErrOverflow) {
				t.Fatalf("charge %v, error %v, want ErrOverflow", got, err)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	event := events.UsageData{Operation: "POST /v1/chat", Status: 503, Project: "web", Attributes: map[string]string{"model": "large", "region": "eu"}}
	noStatus := event
	noStatus.Status = 0
	cases := map[string]struct {
		match events.Match
		data  events.UsageData
		want  bool
	}{
		"no condition matches all":                     {data: event, want: true},
		"a class matches its statuses":                 {match: events.Match{Status: "5xx"}, data: event, want: true},
		"a class matches no other":                     {match: events.Match{Status: "4xx"}, data: event},
		"a status matches itself":                      {match: events.Match{Status: "503"}, data: event, want: true},
		"a status matches no neighbour":                {match: events.Match{Status: "502"}, data: event},
		"an absent status matches no class":            {match: events.Match{Status: "1xx"}, data: noStatus},
		"an absent status matches without a condition": {match: events.Match{Project: "web"}, data: noStatus, want: true},
		"a project is compared exactly":                {match: events.Match{Project: "we"}, data: event},
		"attributes match with their values":           {match: events.Match{Attributes: map[string]string{"model": "large", "region": "eu"}}, data: event, want: true},
		"one other value matches nothing":              {match: events.Match{Attributes: map[string]string{"model": "large", "region": "us"}}, data: event},
		"an attribute that is absent matches nothing":  {match: events.Match{Attributes: map[string]string{"plan": ""}}, data: event},
		"every condition must hold":                    {match: events.Match{Operation: "POST *", Status: "5xx", Project: "api"}, data: event},
		"the whole of an operation must match":         {match: events.Match{Operation: "POST /v1"}, data: event},
		"an operation matches literally":               {match: events.Match{Operation: "POST /v1/chat"}, data: event, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{{Name: "r", Match: tc.match, Price: events.Price{Flat: quantity("1")}}}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = card.Rate(events.Usage{Data: tc.data}, rating.Context{})
			if got := err == nil; got != tc.want {
				t.Errorf("matches: %v (%v), want %v", got, err, tc.want)
			}
			if err != nil && !errors.Is(err, rating.ErrUnratable) {
				t.Errorf("error %v, want ErrUnratable", err)
			}
		})
	}
}

func TestTheFirstMatchingRuleRates(t *testing.T) {
	t.Parallel()
	card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{
		{Name: "free", Match: events.Match{Status: "5xx"}, Price: events.Price{Flat: quantity("0")}},
		{Name: "chat", Match: events.Match{Operation: "POST /v1/chat"}, Price: events.Price{Flat: quantity("2")}},
		{Name: "rest", Price: events.Price{Flat: quantity("1")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for rule, data := range map[string]events.UsageData{
		"free": {Operation: "POST /v1/chat", Status: 500},
		"chat": {Operation: "POST /v1/chat", Status: 200},
		"rest": {Operation: "POST /v1/other"},
	} {
		if got, err := card.Rate(events.Usage{Data: data}, rating.Context{}); err != nil || got.Rule != rule {
			t.Errorf("rated by %q (%v), want %q", got.Rule, err, rule)
		}
	}
}

func TestNewRefusesWhatCannotRate(t *testing.T) {
	t.Parallel()
	one := events.Price{Flat: quantity("1")}
	rules := func(m events.Match, p events.Price) []events.Rule {
		return []events.Rule{{Name: "r", Match: m, Price: p}}
	}
	long := string(make([]byte, events.MaxStringBytes+1))
	for name, card := range map[string]events.RateCard{
		"no rules":               {},
		"an unknown rounding":    {Rounding: "banker", Rules: rules(events.Match{}, one)},
		"an empty price":         {Rules: rules(events.Match{}, events.Price{})},
		"a package of size 0":    {Rules: rules(events.Match{}, events.Price{Package: &events.Package{Quantity: "a"}})},
		"three stars":            {Rules: rules(events.Match{Operation: "a***"}, one)},
		"too long an operation":  {Rules: rules(events.Match{Operation: long}, one)},
		"a status out of range":  {Rules: rules(events.Match{Status: "600"}, one)},
		"a status of two digits": {Rules: rules(events.Match{Status: "20"}, one)},
		"half a class":           {Rules: rules(events.Match{Status: "20x"}, one)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := rating.New(card); !errors.Is(err, events.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

func TestBookFindsTheVersionInForce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	version := func(n int, from time.Time) *rating.Card {
		card, err := rating.New(events.RateCard{Card: "c", Version: n, EffectiveFrom: from, Rules: []events.Rule{{Name: "r", Price: events.Price{Flat: quantity("1")}}}})
		if err != nil {
			t.Fatal(err)
		}
		return card
	}
	always, atNoon, replaced := version(1, time.Time{}), version(2, noon), version(3, noon)
	earlier := version(4, noon.Add(-time.Hour)) // applied last, in force before noon
	cases := map[string]struct {
		book rating.Book
		at   time.Time
		want int
	}{
		"an empty book has none":                       {at: noon},
		"a version without a time is always in force":  {book: rating.NewBook(always), at: noon.AddDate(-50, 0, 0), want: 1},
		"before the first version there is none":       {book: rating.NewBook(atNoon), at: noon.Add(-time.Nanosecond)},
		"a version is in force at its very instant":    {book: rating.NewBook(always, atNoon), at: noon, want: 2},
		"and not an instant before":                    {book: rating.NewBook(atNoon, always), at: noon.Add(-time.Nanosecond), want: 1},
		"of one instant the highest version":           {book: rating.NewBook(replaced, atNoon, always), at: noon, want: 3},
		"the latest time wins over the latest version": {book: rating.NewBook(always, replaced, earlier), at: noon, want: 3},
		"a later version may reach back":               {book: rating.NewBook(always, replaced, earlier), at: noon.Add(-time.Minute), want: 4},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, ok := tc.book.At(tc.at)
			if ok != (tc.want != 0) || ok && card.Version() != tc.want {
				t.Errorf("got %v %v, want version %d", card, ok, tc.want)
			}
		})
	}
}
