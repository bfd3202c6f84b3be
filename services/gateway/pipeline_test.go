package gateway_test

import (
	"log/slog"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/explain"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// rate runs the real rater.
func (w *world) rate() *world {
	w.t.Helper()
	broker, err := stream.NewBroker(w.js.Conn())
	w.ok(err)
	r := rater.New(rater.Config{Broker: broker, Partitions: partitions, Horizon: ages, Logger: slog.New(slog.DiscardHandler)})
	w.run("rate", r.Run)
	return w
}

func (w *world) untilCharged(account, credits string) {
	w.t.Helper()
	w.until(account+" is charged "+credits, func() bool {
		balance := decode[events.Balance](w.call("GET", "/v1/accounts/"+account+"/balance", "").want(200))
		return balance.Charged == events.MustCredits(credits)
	})
}

func TestWhatComesInOverHTTPIsDrawnDownOnceAndDeadLettersComeBack(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config) { c.CompileRateCard = compile }).project().rate()
	w.ok(stream.EnsureLeases(t.Context(), w.js, 1))
	w.call("POST", "/v1/accounts/acme/grants", `{"id":"g","amount":"10"}`).want(201)
	chatAlone := "card: default\nrules:\n  - name: chat\n    match: {operation: \"POST /chat\"}\n    price: {flat: \"1.5\"}\n"
	w.call("PUT", "/v1/ratecards/default", chatAlone).want(201)

	chat := event("id", `"c"`, "data", `{"operation":"POST /chat"}`)
	other := event("id", `"o"`, "data", `{"operation":"GET /other"}`)
	for range 2 {
		w.call("POST", "/v1/events", "["+chat+","+other+"]", "Content-Type", batched).want(202)
	}
	w.untilCharged("acme", "1.5")
	w.until("the other event is dead-lettered", func() bool {
		page := decode[gateway.DeadLetterPage](w.call("GET", "/v1/deadletters?reason=unratable", "").want(200))
		return len(page.DeadLetters) > 0
	})
	explained := decode[explain.Explanation](w.call("GET", "/v1/explain?source=/api&id=o", "").want(200))
	if explained.DeadLetter == nil || explained.DeadLetter.Reason != events.CodeUnratable {
		t.Errorf("explained %+v", explained)
	}

	// The chat is charged the same by the new version; what it refused is not charged yet.
	w.call("PUT", applyRetroactively, "effective_from: 2026-01-01T00:00:00Z\n"+chatAlone+"  - {name: other, price: {flat: \"0.25\"}}\n").want(201)
	w.call("POST", "/v1/deadletters/replay", `{"reason":"unratable"}`).want(200)
	w.untilCharged("acme", "1.75")
}
