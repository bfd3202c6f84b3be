package events_test

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

func ExampleParseCredits() {
	price, err := events.ParseCredits("12.50")
	if err != nil {
		fmt.Println(err)
		return
	}
	total, err := price.Add(events.Credit / 4)
	fmt.Println(price, total, err)

	_, err = events.ParseCredits("0.0000001")
	fmt.Println(err)
	// Output:
	// 12.5 12.75 <nil>
	// credits "0.0000001": expected at most 6 decimal places
}

func ExampleAppendStructured() {
	body, err := events.AppendStructured(nil, events.Usage{
		Source: "/services/chat", ID: "01J9ZK3M8Q", Account: "acct_7", Time: time.Date(2026, 12, 1, 12, 30, 0, 0, time.UTC),
		Data: events.UsageData{
			Operation: "POST /v1/chat", Status: 200,
			Quantities: map[string]events.Quantity{"tokens_in": events.WholeQuantity(374), "tokens_out": events.MustQuantity("44")},
			Attributes: map[string]string{"model": "large"},
		},
	})
	fmt.Println(string(body), err)
	// Output:
	// {"specversion":"1.0","id":"01J9ZK3M8Q","source":"/services/chat","type":"drawdown.usage.v1","subject":"acct_7","time":"2026-12-01T12:30:00Z","datacontenttype":"application/json","data":{"operation":"POST /v1/chat","status":200,"quantities":{"tokens_in":"374","tokens_out":"44"},"attributes":{"model":"large"}}} <nil>
}

func ExampleDecodeEvent() {
	item := events.DecodeEvent([]byte(`{"specversion": "1.0", "id": "1", "source": "/s", "type": "drawdown.usage.v1", "subject": "acct_7",
		"time": "2026-12-01T12:30:00+01:00", "data": {"operation": "GET /", "quantities": {"bytes_out": 1e3}}}`))
	fmt.Println(item.Usage.Time, item.Usage.Data.Quantity("bytes_out"), item.Usage.Data.Quantity("requests"))

	item = events.DecodeEvent([]byte(`{"specversion": "1.0", "id": "1", "source": "/s", "type": "drawdown.usage.v1", "subject": "acct 7",
		"time": "2026-12-01T12:30:00Z", "data": {"operation": "GET /", "quantites": {"bytes_out": 1}}}`))
	fmt.Println(item.Err.Code, item.Err.Path)
	fmt.Println(item.Err)
	// Output:
	// 2026-12-01 11:30:00 +0000 UTC 1000 1
	// invalid /data/quantites
	// /data/quantites: unknown field "quantites"; expected operation, status, project, key, quantities or attributes; /subject: found "acct 7"; expected an account: 1 to 64 of A–Z a–z 0–9 _ -
}
