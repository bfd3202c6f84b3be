package cloudevent_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/cloudevent"
)

// usage draws a usage event.
func usage(t *rapid.T) events.Usage {
	names := rapid.StringMatching(`[a-z_][a-z0-9_.-]{0,20}`)
	texts := rapid.StringMatching(`[ -~é€😀]{1,20}`)
	quantities := rapid.Custom(func(t *rapid.T) events.Quantity {
		return events.WholeQuantity(rapid.Int64Range(0, 999_999_999_999_999_999).Draw(t, "quantity"))
	})
	return events.Usage{
		Source:  rapid.SampledFrom([]string{"/s", "https://example.com/a%20b?c=d#e", "urn:x:y"}).Draw(t, "source"),
		ID:      rapid.StringMatching(`[!-~é€😀]([ -~é€😀]{0,40}[!-~])?`).Draw(t, "id"), // the SDK trims spaces
		Account: rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "account"),
		Time:    time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).UTC(),
		Data: events.UsageData{
			Operation: texts.Draw(t, "operation"), Status: 200,
			Quantities: rapid.MapOfN(names, quantities, 1, 3).Draw(t, "quantities"),
			Attributes: rapid.MapOfN(names, texts, 1, 3).Draw(t, "attributes"),
		},
	}
}

func TestTheSDKReadsWhatWeEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := usage(t)
		body, err := events.AppendStructured(nil, u)
		if err != nil {
			t.Fatal(err)
		}
		var structured event.Event
		if err := json.Unmarshal(body, &structured); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		agree(t, u, structured)
	})
}

func TestWeReadWhatTheSDKEncodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := usage(t)
		sent := event.New()
		sent.SetID(u.ID)
		sent.SetSource(u.Source)
		sent.SetType(events.TypeUsage)
		sent.SetSubject(u.Account)
		sent.SetTime(u.Time)
		sent.SetExtension("traceparent", "00-ab-cd-01")
		data, err := events.EncodeData(u.Data)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "as bytes") { // which the SDK writes as data_base64
			err = sent.SetData(event.ApplicationJSON, data)
		} else {
			err = sent.SetData(event.ApplicationJSON, json.RawMessage(data))
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		item := events.DecodeEvent(body)
		if diff := difference(u, item.Usage); item.Err != nil || diff != "" {
			t.Fatalf("%s: %v %s", body, item.Err, diff)
		}
	})
}

func TestConversionLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := usage(t)
		e, err := cloudevent.FromUsage(u)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cloudevent.ToUsage(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference(u, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestWhatIsNoUsageIsNotConverted(t *testing.T) {
	if _, err := cloudevent.FromUsage(events.Usage{}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("an empty usage event: %v", err)
	}
	for name, change := range map[string]func(*event.Event){
		"an event of another type": func(e *event.Event) { e.SetType("com.acme.call") },
		"an event without subject": func(e *event.Event) { e.SetSubject("") },
		"an event without data":    func(e *event.Event) { e.DataEncoded = nil },
		"data that is not JSON":    func(e *event.Event) { e.DataEncoded = []byte("hello") },
	} {
		e := event.New()
		e.SetID("1")
		e.SetSource("/s")
		e.SetType(events.TypeUsage)
		e.SetSubject("a1")
		e.SetTime(time.Unix(0, 0))
		if err := e.SetData(event.ApplicationJSON, map[string]string{"operation": "GET /"}); err != nil {
			t.Fatal(err)
		}
		if _, err := cloudevent.ToUsage(e); err != nil {
			t.Fatalf("the event that the others are made from: %v", err)
		}
		change(&e)
		if _, err := cloudevent.ToUsage(e); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func agree(t *rapid.T, u events.Usage, e event.Event) {
	if err := e.Validate(); err != nil {
		t.Fatalf("the SDK finds our event invalid: %v", err)
	}
	data, err := events.EncodeData(u.Data)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{u.ID, u.Source, u.Account, events.TypeUsage, u.Time.Format(time.RFC3339Nano), string(data)}
	got := []string{e.ID(), e.Source(), e.Subject(), e.Type(), e.Time().Format(time.RFC3339Nano), string(e.Data())}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func difference(want, got events.Usage) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(events.Quantity{}))
}
