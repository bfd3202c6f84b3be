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
