package events_test

import (
	"encoding/json"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

func TestAPriceOf0IsKeptByEveryEncoding(t *testing.T) {
	t.Parallel()
	zero := events.Quantity{}
	card := events.RateCard{Card: "c", Version: 1, Rules: []events.Rule{{Name: "free", Price: events.Price{Flat: &zero, Min: &zero}}}}
	body, err := json.Marshal(card)
	if err != nil {
		t.Fatal(err)
	}
	var again events.RateCard
	if err := json.Unmarshal(body, &again); err != nil {
		t.Fatal(err)
	}
	chunk, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{{Kind: events.EntryRateCard, RateCard: &card}}})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := events.DecodeChunk(chunk)
	if err != nil {
		t.Fatal(err)
	}
	for name, price := range map[string]events.Price{"encoding/json": again.Rules[0].Price, "ledger chunk": decoded.Entries[0].RateCard.Rules[0].Price} {
		if price.Flat == nil || price.Min == nil {
			t.Errorf("%s lost a price of 0: %+v in %s", name, price, body)
		}
	}
}
