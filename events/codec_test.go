package events_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
)

// call is a usage event like those services send, about 500 bytes encoded.
func call() events.Usage {
	return events.Usage{
		Source: "/services/chat", ID: "01J9ZK3M8Q0000000000000007", Account: "acct_000007",
		Time: time.Date(2026, 12, 1, 12, 30, 0, 123456000, time.UTC),
		Data: events.UsageData{
			Operation: "POST /v1/chat", Status: 200, Project: "web", Key: "key_7f3",
			Quantities: map[string]events.Quantity{
				"requests": events.MustQuantity("1"), "bytes_out": events.MustQuantity("2048"),
				"tokens_in": events.MustQuantity("374"), "tokens_out": events.MustQuantity("44.5"),
			},
			Attributes: map[string]string{"model": "large", "region": "eu", "domain": "example.com"},
		},
	}
}

func compare(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(events.Quantity{}, events.Total{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUsageSurvivesEveryMode(t *testing.T) {
	backfilled := call()
	backfilled.Backfill = backfilled.Time.Add(1000 * time.Hour)
	for _, u := range []events.Usage{call(), backfilled} {
		survivesEveryMode(t, u)
	}
}

func survivesEveryMode(t *testing.T, u events.Usage) {
	t.Helper()
	structured, err := events.AppendStructured(nil, u)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := events.EncodeBatch([]events.Usage{u, u})
	if err != nil {
		t.Fatal(err)
	}
	header, body, err := events.EncodeBinary(u)
	if err != nil {
		t.Fatal(err)
	}
	item := events.Item{Usage: u, Raw: structured}
	batchSubject := events.BatchSubject(events.Partition(u.Account, 16))
	compare(t, []events.Item{item}, events.DecodeMessage("usage.acct_000007", nil, structured, 16))
	compare(t, []events.Item{item}, events.DecodeMessage("usage.3.acct_000007", map[string][]string{"content-type": {"application/cloudevents+json; charset=UTF-8"}}, structured, 16))
	compare(t, []events.Item{item, item}, events.DecodeMessage(batchSubject, map[string][]string{"Content-Type": {events.ContentTypeBatch}}, batch, 16))
	compare(t, []events.Item{{Usage: u, Raw: body}}, events.DecodeMessage("usage.acct_000007", header, body, 16))
}
