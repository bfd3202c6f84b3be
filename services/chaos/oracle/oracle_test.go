package oracle

import (
	"testing"
	"time"

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
		"the 20th search of a period":     {journal.Event{Operation: "GET /search", A: 19, Micros: noon.UnixMicro()}, "40000"},
		"the 21st search":                 {journal.Event{Operation: "GET /search", A: 20, Micros: noon.UnixMicro()}, "30000"},
		"the 201st search":                {journal.Event{Operation: "GET /search", A: 200, Micros: noon.UnixMicro()}, "10000"},
		"units up to a volume of 5000":    {journal.Event{ID: journal.ID{Number: 2}, Operation: "POST /v1/render", A: 2500}, "250000"},
		"units beyond it":                 {journal.Event{ID: journal.ID{Number: 2}, Operation: "POST /v1/render", A: 2501}, "125050"},
		"units of project p1":             {journal.Event{ID: journal.ID{Number: 1}, Operation: "POST /v1/render", A: 100}, "20000"},
		"many units of Europe":            {journal.Event{ID: journal.ID{Number: 3}, Operation: "POST /v1/render", A: 501}, "350700"},
		"so many that it costs the most":  {journal.Event{ID: journal.ID{Number: 3}, Operation: "POST /v1/render", A: 900}, "500000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			used := func(_, _, _ string, units int64) charge {
				if tt.event.Operation == "GET /search" {
					return charge{before: tt.event.A}
				}
				return charge{before: units}
			}
			if got := priceOf(&tt.event, noon, used).amount.String(); got != tt.want {
				t.Errorf("%s micro-credits; want %s", got, tt.want)
			}
		})
	}
}
