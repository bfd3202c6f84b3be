package enforcer_test

import (
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

// BenchmarkSignal measures from the put of a balance to the subscriber that
// hears its signal, one at a time.
func BenchmarkSignal(b *testing.B) {
	r := newRig(b)
	e, _ := r.start()
	r.await(e)
	w, n := r.wallet("acme"), 0
	w.levels = w.levels[3:]
	amount := events.Credits(-100)
	for b.Loop() {
		balance, signals := w.change(amount)
		r.put(balance)
		n += signals
		r.hear(n)
		amount = -amount
	}
}
