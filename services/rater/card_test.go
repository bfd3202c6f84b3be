package rater_test

import (
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/catalog"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

// FuzzAnAcceptedCardRates feeds whatever the catalog accepts to the rater: a
// card that passed at apply and fails in the rater would stop being used.
func FuzzAnAcceptedCardRates(f *testing.F) {
	f.Add([]byte("card: default\nrules:\n  - name: a\n    match: {operation: \"GET /**/*\", status: 4xx, attributes: {a: b}}\n    price: {flat: 0.000000000001, min: 1000000000}\n"))
	f.Add([]byte("card: c\nrounding: up\nrules:\n- name: a\n  price: {per_unit: [{quantity: a, price: 999999999, per: 0.000000000001}], package: {quantity: b, size: 999999999999999999, price: 0}}\n"))
	f.Add([]byte(`{"card":"c","effective_from":"2026-12-01T00:00:00Z","rules":[{"name":"r","match":{"status":"100","operation":"**"},"price":{"min":"0"}}]}`))
	f.Add([]byte("card: c\nrules: [{name: r, match: {operation: \"a*b**c*\"}, price: {flat: 1}}]"))
	f.Add([]byte(`card: c
rules:
  - name: r
    match: {plan: pro, when: 'attributes["a"] == "b" && quantities["n"] > 1 && time.getHours("Europe/Berlin") < 7'}
    price:
      graduated: {quantity: n, tiers: [{up_to: 0.000000000001, price: 1, per: 3}, {up_to: 999999999999999999, price: 0}, {price: 1000000000}]}
      volume: {quantity: requests, tiers: [{price: 0.5}]}
      matrix: {by: [a, b], quantity: n, per: 1000, cells: [{values: [x, ""], price: 1}], default: 2}
      multiply: [{when: 'has(attributes.c)', by: 0}, {when: 'status == 200', by: 999999999999999999}]
      min: 1
      max: 1000000000
    examples: [{event: {operation: a, used: {n: 5}}, credits: 1}]
`))
	f.Fuzz(func(t *testing.T, src []byte) {
		card, err := catalog.ParseRateCard("f", src)
		if err != nil {
			return
		}
		if _, err := rating.New(card); err != nil {
			t.Fatalf("accepted and does not compile: %v\n%s", err, src)
		}
	})
}
