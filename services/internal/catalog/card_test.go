package catalog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

func q(s string) events.Quantity { return events.MustQuantity(s) }

var same = cmp.Comparer(func(a, b events.Quantity) bool { return a == b })

const contractCard = `
card: default
version: 3                 # assigned on apply
effective_from: 2026-12-01T01:00:00+01:00
rounding: half_even
rules:
  - name: free-errors
    match: {status: "5xx"}
    price: {flat: "0"}
  - name: chat-large
    match: {operation: "POST /v1/chat", attributes: {model: large, empty: ""}, project: web}
    price:
      flat: 0.010
      per_unit:
        - {quantity: tokens_in,  price: "0.15", per: "1000"}
        - {quantity: tokens_out, price: 0.60, per: 1000}
      min: "0.02"
  - name: downloads
    match: {operation: GET /files/**, status: 206}
    price: {package: {quantity: bytes_out, size: "1048576", price: "1"}}
  - name: search
    match:
      plan: pro
      when: |
        attributes["render"] == "js" &&
        quantities["pages"] > 10
    price:
      graduated: {quantity: requests, tiers: [{up_to: 1000, price: "0.5"}, {price: 0.2, per: 10}]}
      volume: {quantity: pages, tiers: [{price: "1"}]}
      matrix: {by: [model, region], quantity: pages, per: 1000, cells: [{values: [large, ""], price: "3"}], default: 1}
      multiply: [{when: 'attributes["proxy"] == "residential"', by: "10"}]
      max: "100"
    examples:
      - event: {operation: GET /search, status: 200, project: web, key: k, account: acme, plan: pro, time: 2026-12-01T00:00:00Z,
          quantities: {pages: 11}, attributes: {render: js, model: large}, used: {requests: "1000.5"}}
        credits: "1.25"
  - name: everything-else
    price: {flat: "1"}
examples: [{event: {operation: a}, credits: 1}]
`

func TestARateCardIsReadAsWritten(t *testing.T) {
	t.Parallel()
	want := events.RateCard{
		Card: "default", Rounding: events.RoundHalfEven,
		EffectiveFrom: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		Rules: []events.Rule{
			{Name: "free-errors", Match: events.Match{Status: "5xx"}, Price: events.Price{Flat: ptr(q("0"))}},
			{
				Name:  "chat-large",
				Match: events.Match{Operation: "POST /v1/chat", Attributes: map[string]string{"model": "large", "empty": ""}, Project: "web"},
				Price: events.Price{
					Flat:    ptr(q("0.01")),
					PerUnit: []events.PerUnit{{Quantity: "tokens_in", Price: q("0.15"), Per: q("1000")}, {Quantity: "tokens_out", Price: q("0.6"), Per: q("1000")}},
					Min:     ptr(q("0.02")),
				},
			},
			{
				Name: "downloads", Match: events.Match{Operation: "GET /files/**", Status: "206"},
				Price: events.Price{Package: &events.Package{Quantity: "bytes_out", Size: q("1048576"), Price: q("1")}},
			},
			{
				Name: "search", Match: events.Match{Plan: "pro", When: "attributes[\"render\"] == \"js\" &&\nquantities[\"pages\"] > 10\n"},
				Price: events.Price{
					Graduated: &events.Tiered{Quantity: "requests", Tiers: []events.PriceTier{{UpTo: ptr(q("1000")), Price: q("0.5")}, {Price: q("0.2"), Per: q("10")}}},
					Volume:    &events.Tiered{Quantity: "pages", Tiers: []events.PriceTier{{Price: q("1")}}},
					Matrix: &events.Matrix{By: []string{"model", "region"}, Quantity: "pages", Per: q("1000"), Default: ptr(q("1")),
						Cells: []events.Cell{{Values: []string{"large", ""}, Price: q("3")}}},
					Multiply: []events.Multiplier{{When: `attributes["proxy"] == "residential"`, By: q("10")}},
					Max:      ptr(q("100")),
				},
				Examples: []events.Example{{Credits: events.MustCredits("1.25"), Event: events.ExampleEvent{
					Operation: "GET /search", Status: 200, Project: "web", Key: "k", Account: "acme", Plan: "pro", Time: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
					Quantities: map[string]events.Quantity{"pages": q("11")}, Attributes: map[string]string{"render": "js", "model": "large"},
					Used: map[string]events.Quantity{"requests": q("1000.5")},
				}}},
			},
			{Name: "everything-else", Price: events.Price{Flat: ptr(q("1"))}},
		},
		Examples: []events.Example{{Credits: events.Credit, Event: events.ExampleEvent{Operation: "a"}}},
	}
	got, err := catalog.ParseRateCard("card.yaml", []byte(contractCard))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("rate card (-want +got):\n%s", diff)
	}
	for name, indent := range map[string]string{"compact": "", "indented with tabs": "\t", "indented with spaces": "  "} {
		body, err := json.Marshal(got)
		if indent != "" {
			body, err = json.MarshalIndent(got, "", indent)
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalog.ParseRateCard("body", body)
		if err != nil {
			t.Fatalf("JSON, %s: %v", name, err)
		}
		if diff := cmp.Diff(want, again, same); diff != "" {
			t.Errorf("JSON, %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRateCardsAreRefusedWithTheLine(t *testing.T) {
	t.Parallel()
	rule := func(lines ...string) string {
		return "card: c\nrules:\n  - name: r\n    " + strings.Join(lines, "\n    ")
	}
	price := func(p string) string { return rule("price: " + p) }
	tiers := func(t string) string { return price("{graduated: {quantity: a, tiers: [" + t + "]}}") }
	matching := func(m string) string { return rule("price: {flat: 1}", "match: "+m) }
	dear := "'attributes.exists(a, attributes.exists(c, a != c && attributes[a] == \"q\"))'"
	dears := func(matches, multipliers int) string {
		rules := rule("price: {flat: 1}")
		for i := range matches {
			rules += fmt.Sprintf("\n  - name: r%d\n    match: {when: %s}\n    price: {flat: 1}", i, dear)
		}
		return rules + "\n  - name: multiplied\n    price: {flat: 1, multiply: [" + strings.Repeat("{when: "+dear+", by: 2},", multipliers) + "]}"
	}
	if _, err := catalog.ParseRateCard("f.yaml", []byte(dears(4, 1))); err != nil {
		t.Error(err)
	}
	refusals{
		"conditions that are too costly":       {dears(5, 1), "f.yaml:5:5: /rules/1: found conditions that may cost"},
		"multipliers that are too costly":      {dears(0, 6), "f.yaml:5:5: /rules/1: found conditions that may cost"},
		"not YAML":                             {"card: [", "f.yaml:1:"},
		"an empty document":                    {"# nothing\n", "f.yaml:1:1: found an empty document; expected a rate card"},
		"two documents":                        {price("{flat: 1}") + "\n---\ncard: d\n", "f.yaml:6:1: found a second document; expected one"},
		"a list":                               {"- card: c\n", "f.yaml:1:1: found a list; expected a rate card with card, version"},
		"a directive":                          {"%YAML 1.2\n---\ncard: c\n", "f.yaml:1:1: found a YAML directive"},
		"bytes that are not UTF-8":             {"card: \xff\n", "f.yaml: found bytes that are not UTF-8"},
		"too many bytes":                       {strings.Repeat(" ", catalog.MaxDocumentBytes+1), "f.yaml: found 131073 bytes; at most 131072"},
		"too deep a nesting":                   {strings.Repeat("[", 101), "f.yaml: found more than 100 brackets"},
		"an unknown key":                       {price("{flat: 1}") + "\nrule: 1\n", "f.yaml:5:1: /rule: found the unknown key \"rule\"; expected card, version"},
		"a key given twice":                    {"card: c\ncard: d\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:1: /card: found the key \"card\" twice"},
		"a key given twice in JSON":            {`{"card": "c", "rules": [{"name": "r", "price": {"flat": "1", "flat": "2"}}]}`, "f.yaml:1:62: /rules/0/price/flat: found the key \"flat\" twice"},
		"no card name":                         {"rules: [{name: r, price: {flat: 1}}]", "f.yaml:1:1: /card: found nothing; expected a name"},
		"a card name with a space":             {"card: my card\nrules: [{name: r, price: {flat: 1}}]", "f.yaml:1:7: /card: found \"my card\"; expected a name"},
		"a card name that is a number":         {"card: 7\nrules: [{name: r, price: {flat: 1}}]", "f.yaml:1:7: /card: found the number \"7\"; expected a name"},
		"no rules":                             {"card: c\n", "f.yaml:1:1: /rules: found nothing; expected a list of rules"},
		"an empty list of rules":               {"card: c\nrules: []\n", "f.yaml:2:8: /rules: found 0 rules; expected 1 to 1000"},
		"rules that are a mapping":             {"card: c\nrules: {a: 1}\n", "f.yaml:2:8: /rules: found a mapping; expected a list of rules"},
		"a rule that is text":                  {"card: c\nrules:\n  - r\n", "f.yaml:3:5: /rules/0: found the text \"r\"; expected a rule with name"},
		"a rule without a name":                {"card: c\nrules:\n  - price: {flat: 1}", "f.yaml:3:5: /rules/0/name: found nothing"},
		"a rule with an empty name":            {"card: c\nrules:\n  - name: \"\"\n    price: {flat: 1}", "f.yaml:3:11: /rules/0/name: found empty text"},
		"a rule name used twice":               {price("{flat: 1}") + "\n  - name: r\n    price: {flat: 1}", "f.yaml:5:11: /rules/1/name: found a second rule named \"r\""},
		"a rule without a price":               {rule("match: {}"), "f.yaml:3:5: /rules/0/price: found nothing"},
		"an empty price":                       {price("{}"), "f.yaml:4:12: /rules/0/price: found an empty price"},
		"an absent flat price":                 {price("{flat: }"), "f.yaml:4:"},
		"a null flat price":                    {price("{flat: ~}"), "f.yaml:4:19: /rules/0/price/flat: found nothing; expected a decimal"},
		"a negative price":                     {price("{flat: -1}"), "f.yaml:4:19: /rules/0/price/flat: found \"-1\"; expected a decimal of 0 or more"},
		"a price of 13 places":                 {price("{flat: 0.0000000000001}"), "f.yaml:4:19: /rules/0/price/flat: found \"0.0000000000001\""},
		"a price of 19 digits":                 {price("{flat: 1234567890123456789}"), "f.yaml:4:19: /rules/0/price/flat: found \"1234567890123456789\""},
		"a price of 10^400":                    {price("{flat: 1e400}"), "f.yaml:4:19: /rules/0/price/flat: found \"1e400\""},
		"an infinite price":                    {price("{flat: .inf}"), "f.yaml:4:19: /rules/0/price/flat: found the number \".inf\""},
		"a price in hexadecimal":               {price("{flat: 0x10}"), "f.yaml:4:19: /rules/0/price/flat: found \"0x10\""},
		"a price beyond a charge":              {price("{min: 1000000001}"), "f.yaml:4:18: /rules/0/price/min: found 1000000001 credits; expected at most 1000000000"},
		"a price that is a list":               {price("{flat: [1]}"), "f.yaml:4:19: /rules/0/price/flat: found a list"},
		"a price that is true":                 {price("{flat: true}"), "f.yaml:4:19: /rules/0/price/flat: found true"},
		"a price by an anchor":                 {price("{flat: &p 1}"), "f.yaml:4:19: /rules/0/price/flat: found a YAML anchor or alias"},
		"a price by a tag":                     {price("{flat: !!str 1}"), "f.yaml:4:19: /rules/0/price/flat: found a YAML tag"},
		"a merge key":                          {price("{<<: {flat: 1}}"), "f.yaml:4:13: /rules/0/price: found a YAML merge key as a key"},
		"per 0":                                {price("{per_unit: [{quantity: a, price: 1, per: 0}]}"), "f.yaml:4:53: /rules/0/price/per_unit/0/per: found 0; expected a decimal above 0"},
		"an empty per_unit":                    {price("{per_unit: []}"), "f.yaml:4:23: /rules/0/price/per_unit: found 0 per_unit prices"},
		"a per_unit without a quantity":        {price("{per_unit: [{price: 1}]}"), "f.yaml:4:24: /rules/0/price/per_unit/0/quantity: found nothing"},
		"a quantity that no event has":         {price("{per_unit: [{quantity: a b, price: 1}]}"), "f.yaml:4:35: /rules/0/price/per_unit/0/quantity: found \"a b\""},
		"a package of size 0":                  {price("{package: {quantity: a, size: 0.0, price: 1}}"), "f.yaml:4:42: /rules/0/price/package/size: found 0"},
		"a package without a size":             {price("{package: {quantity: a, price: 1}}"), "f.yaml:4:22: /rules/0/price/package/size: found nothing"},
		"three stars":                          {matching("{operation: a***}"), "f.yaml:5:24: /rules/0/match/operation: found *** in"},
		"an empty operation":                   {matching("{operation: \"\"}"), "f.yaml:5:24: /rules/0/match/operation: found empty text"},
		"an operation beyond its length":       {matching("{operation: " + strings.Repeat("a", events.MaxStringBytes+1) + "}"), "f.yaml:5:24: /rules/0/match/operation: found 1025 bytes"},
		"a status out of range":                {matching("{status: 600}"), "f.yaml:5:21: /rules/0/match/status: found \"600\"; expected a status"},
		"a status that is a word":              {matching("{status: error}"), "f.yaml:5:21: /rules/0/match/status: found \"error\""},
		"half a class":                         {matching("{status: 40x}"), "f.yaml:5:21: /rules/0/match/status: found \"40x\""},
		"an attribute that is a number":        {matching("{attributes: {n: 1}}"), "f.yaml:5:29: /rules/0/match/attributes/n: found the number \"1\"; expected the attribute's value as text (quote it)"},
		"an attribute named like nothing":      {matching("{attributes: {\"a b\": x}}"), "f.yaml:5:33: /rules/0/match/attributes/a b: found the name \"a b\""},
		"an unknown rounding":                  {"card: c\nrounding: banker\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:11: /rounding: found \"banker\"; expected half_up, half_even, up, down"},
		"a version that is no number":          {"card: c\nversion: new\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:10: /version: found \"new\"; expected a whole number"},
		"a date without a time":                {"card: c\neffective_from: 2026-12-01\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:17: /effective_from: found \"2026-12-01\"; expected a time in RFC 3339"},
		"a time before 1970":                   {"card: c\neffective_from: 1969-12-31T23:59:59Z\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:17: /effective_from"},
		"no examples":                          {"card: c\nexamples: []\n" + price("{flat: 1}")[len("card: c\n"):], "f.yaml:2:11: /examples: found 0 examples; expected 1 to 100"},
		"an example without a call":            {rule("price: {flat: 1}\n    examples: [{credits: 1}]"), "f.yaml:5:16: /rules/0/examples/0/event: found nothing; expected a call"},
		"an example without an operation":      {rule("price: {flat: 1}\n    examples: [{event: {}, credits: 1}]"), "f.yaml:5:24: /rules/0/examples/0/event/operation: found nothing; expected what is called"},
		"an example without an end":            {rule("price: {flat: 1}\n    examples: [{event: {operation: a}}]"), "f.yaml:5:16: /rules/0/examples/0/credits: found nothing; expected what the call costs"},
		"an example of 7 places":               {rule("price: {flat: 1}\n    examples: [{event: {operation: a}, credits: 0.0000001}]"), "f.yaml:5:49: /rules/0/examples/0/credits: found \"0.0000001\"; expected credits"},
		"an example's status of 99":            {rule("price: {flat: 1}\n    examples: [{event: {operation: a, status: 99}, credits: 1}]"), "f.yaml:5:47: /rules/0/examples/0/event/status: found \"99\"; expected a status from 100 to 599"},
		"an example's negative usage":          {rule("price: {flat: 1}\n    examples: [{event: {operation: a, used: {b: -1}}, credits: 1}]"), "f.yaml:5:49: /rules/0/examples/0/event/used/b: found \"-1\"; expected a decimal of 0 or more"},
		"an example's quantity of no name":     {rule("price: {flat: 1}\n    examples: [{event: {operation: a, quantities: {1: 1}}, credits: 1}]"), "f.yaml:5:55: /rules/0/examples/0/event/quantities/1: found the name \"1\""},
		"tiers of nothing":                     {price("{graduated: {tiers: [{price: 1}]}}"), "f.yaml:4:24: /rules/0/price/graduated/quantity: found nothing; expected the name of a quantity"},
		"no tiers":                             {price("{volume: {quantity: a, tiers: []}}"), "f.yaml:4:42: /rules/0/price/volume/tiers: found 0 tiers; expected 1 to 100"},
		"a tier without an end before another": {tiers("{price: 1}, {price: 2}"), "f.yaml:4:46: /rules/0/price/graduated/tiers/0/up_to: found nothing; expected more than 0, where the tier ends: another one follows"},
		"a last tier with an end":              {tiers("{up_to: 5, price: 1}, {up_to: 9, price: 2}"), "f.yaml:4:76: /rules/0/price/graduated/tiers/1/up_to: found an end of the last tier; expected none"},
		"tiers that do not rise":               {tiers("{up_to: 5, price: 1}, {up_to: 5.0, price: 1}, {price: 2}"), "f.yaml:4:76: /rules/0/price/graduated/tiers/1/up_to: found an end at 5; expected more than 5, where the tier before ends"},
		"a first tier that ends at 0":          {tiers("{up_to: 0, price: 1}, {price: 2}"), "f.yaml:4:54: /rules/0/price/graduated/tiers/0/up_to: found an end at 0; expected more than 0"},
		"a tier without a price":               {tiers("{per: 2}"), "f.yaml:4:46: /rules/0/price/graduated/tiers/0/price: found nothing; expected a decimal of 0 or more"},
		"a tier from somewhere":                {tiers("{from: 2, price: 1}"), "f.yaml:4:47: /rules/0/price/graduated/tiers/0/from: found the unknown key \"from\"; expected up_to, price, per"},
		"a tier per 0":                         {tiers("{per: 0, price: 1}"), "f.yaml:4:52: /rules/0/price/graduated/tiers/0/per: found 0; expected a decimal above 0"},
		"a matrix by nothing":                  {price("{matrix: {by: [], cells: [{values: [a], price: 1}]}}"), "f.yaml:4:26: /rules/0/price/matrix/by: found 0 attributes' names; expected 1 to 8"},
		"a matrix by one attribute twice":      {price("{matrix: {by: [a, a], cells: [{values: [a, b], price: 1}]}}"), "f.yaml:4:30: /rules/0/price/matrix/by/1: found the attribute \"a\" twice"},
		"a matrix without cells":               {price("{matrix: {by: [a]}}"), "f.yaml:4:21: /rules/0/price/matrix/cells: found nothing; expected a list of cells"},
		"a cell with a value too many":         {price("{matrix: {by: [a], cells: [{values: [x, y], price: 1}]}}"), "f.yaml:4:48: /rules/0/price/matrix/cells/0/values: found 2 values; expected 1: one for each of a"},
		"a cell with a number":                 {price("{matrix: {by: [a], cells: [{values: [1], price: 1}]}}"), "f.yaml:4:49: /rules/0/price/matrix/cells/0/values/0: found the number \"1\"; expected the attribute's value as text"},
		"a cell given twice":                   {price("{matrix: {by: [a], cells: [{values: [x], price: 1}, {values: [x], price: 2}]}}"), "f.yaml:4:73: /rules/0/price/matrix/cells/1/values: found the values of another cell"},
		"a cell without a price":               {price("{matrix: {by: [a], cells: [{values: [x]}]}}"), "f.yaml:4:39: /rules/0/price/matrix/cells/0/price: found nothing; expected a decimal"},
		"a max below the min":                  {price("{flat: 1, min: 3, max: 2}"), "f.yaml:4:35: /rules/0/price/max: found a max of 2 below the min of 3; expected at least as much"},
		"a max of nothing":                     {price("{max: 2}"), "f.yaml:4:12: /rules/0/price: found nothing to multiply or to bound; expected flat"},
		"no multipliers":                       {price("{flat: 1, multiply: []}"), "f.yaml:4:32: /rules/0/price/multiply: found 0 multipliers; expected 1 to 32"},
		"a multiplier without a condition":     {price("{flat: 1, multiply: [{by: 2}]}"), "f.yaml:4:33: /rules/0/price/multiply/0/when: found nothing; expected a condition in CEL"},
		"a negative multiplier":                {price("{flat: 1, multiply: [{when: 'status == 1', by: -2}]}"), "f.yaml:4:59: /rules/0/price/multiply/0/by: found \"-2\"; expected a factor of 0 or more"},
		"a multiplier's condition":             {price("{flat: 1, multiply: [{when: status, by: 2}]}"), "f.yaml:4:40: /rules/0/price/multiply/0/when: found an expression of type int; expected a condition in CEL that is true or false"},
		"a condition that is no text":          {matching("{when: true}"), "f.yaml:5:19: /rules/0/match/when: found true; expected a condition in CEL as text"},
		"a condition that does not end":        {matching("{when: 'status =='}"), "f.yaml:5:19: /rules/0/match/when: found Syntax error"},
		"a condition over what is not there":   {matching("{when: 'status == 200 && model == \"large\"'}"), "f.yaml:5:19: /rules/0/match/when: found undeclared reference to 'model'; expected the variables operation, status, project, key, account, plan, time, attributes and quantities, and CEL's functions (line 1, column 18 of the condition)"},
		"a condition of two lines":             {matching("\n      when: |\n        status == 200 &&\n        model == 1\n"), "f.yaml:6:13: /rules/0/match/when: found undeclared reference to 'model'"},
		"a condition that is too costly":       {matching("{when: 'attributes.all(a, attributes.all(b, attributes.all(c, a + b + c != project)))'}"), "f.yaml:5:19: /rules/0/match/when: found a condition that may cost"},
		"a plan with a space":                  {matching("{plan: a b}"), "f.yaml:5:19: /rules/0/match/plan: found \"a b\"; expected a name"},
	}.run(t, func(name string, src []byte) error {
		_, err := catalog.ParseRateCard(name, src)
		return err
	})
}
