package oracle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func TestPrices(t *testing.T) {
	tests := map[string]struct {
		event journal.Event
		want  string
	}{
		"a chat by the card of an hour before the start": {journal.Event{Operation: "POST /v1/chat", A: 100, B: 100, Micros: noon.UnixMicro()}, "82000"},
		"a chat before":                   {journal.Event{Operation: "POST /v1/chat", A: 100, B: 100, Micros: noon.Add(-61 * time.Minute).UnixMicro()}, "85000"},
		"a chat of the least price":       {journal.Event{Operation: "POST /v1/chat", Micros: noon.UnixMicro()}, "20000"},
		"nothing of a file":               {journal.Event{Operation: "GET /files/report.pdf"}, "0"},
		"a byte of a file":                {journal.Event{Operation: "GET /files/report.pdf", A: 1}, "1000000"},
		"a started MiB of a file":         {journal.Event{Operation: "GET /files/report.pdf", A: 1<<20 + 1}, "2000000"},
		"a half is rounded up":            {journal.Event{Operation: "POST /v1/odd", A: 15}, "4"}, // 3.5
		"less than a half is rounded off": {journal.Event{Operation: "POST /v1/odd", A: 1}, "0"},  // 0.23
		"a server's fault is free":        {journal.Event{Operation: "GET /search", Status: 503}, "0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := priceOf(&tt.event, noon).String(); got != tt.want {
				t.Errorf("%s micro-credits; want %s", got, tt.want)
			}
		})
	}
}

func TestTheFoldDrawsInOrderAndNotesCrossings(t *testing.T) {
	a := newAccount("a")
	step := func(sequence uint64, at time.Time, do func()) {
		a.pass(place{sequence, 0}, at)
		do()
		a.evaluate()
	}
	step(1, noon, func() { a.debit(5) }) // overage
	step(2, noon, func() { a.grant("late", 100, 100, noon.Add(time.Hour), time.Time{}) })
	step(3, noon, func() { a.grant("soon", 50, 100, time.Time{}, noon.Add(time.Minute)) })
	step(4, noon, func() { a.grant("soon", 70, 100, time.Time{}, time.Time{}) }) // the id is used
	step(5, noon, func() { a.grant("first", 10, 1, time.Time{}, time.Time{}) })
	step(6, noon, func() { a.debit(12) })                                        // 10 of first, 2 of soon
	step(7, noon.Add(time.Minute), func() {})                                    // soon expires
	step(8, noon.Add(2*time.Hour), func() { a.debit(81) })                       // late has begun
	step(9, noon.Add(2*time.Hour), func() { a.void("late"); a.void("nothing") }) // 19 remain
	want := balance{
		Account: "a", Available: "0", Overage: "0", Granted: "0.00016", Remaining: "0", Drawn: "0.000098", Expired: "0.000043",
		Voided: "0.000019", Charged: "0.000098", Sequence: 9,
		Levels: []levelBalance{
			{Kind: "low", At: "0.00002", Reached: true, Since: &sinceEntry{8, 0}},
			{Kind: "exhausted", At: "0", Reached: true, Since: &sinceEntry{9, 0}},
		},
	}
	if diff := cmp.Diff(want, a.balance()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]place{{1, 0}, {7, 0}, {9, 0}}, a.stop.into, cmp.AllowUnexported(place{})); diff != "" {
		t.Errorf("exhausted at:\n%s", diff)
	}
}
