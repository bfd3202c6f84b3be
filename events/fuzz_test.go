package events_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/drawdown-credits/drawdown/events"
)

// The fuzz tests ask two things of every decoder: that it never panics, and
// that what it accepts is encoded and decoded again without loss.

func FuzzDecodeEvent(f *testing.F) {
	f.Add(document())
	f.Add(document("drawdownbackfill", `"2026-12-02T05:30:00.5+05:30"`))
	f.Add(data(`"quantities":{"a":1.5e3,"b":"0.1"},"attributes":{"x":"é\n"}`))
	f.Add(document("data", "", "data_base64", `"eyJvcGVyYXRpb24iOiJhIn0="`, "time", `"2026-12-01T05:30:00.5+05:30"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if item := events.DecodeEvent(body); item.Err == nil {
			if !json.Valid(body) {
				t.Fatalf("accepted what is not JSON: %q", body)
			}
			survives(t, item.Usage)
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte("[" + string(document()) + ",{}]"))
	f.Add([]byte(`[{"a":"]"},[1,2],"x"]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, problem := events.DecodeBatch(body)
		if problem != nil {
			return
		}
		valid := true
		for _, item := range items {
			if item.Err == nil {
				survives(t, item.Usage)
			}
			valid = valid && json.Valid(item.Raw)
		}
		if valid != json.Valid(body) {
			t.Fatalf("the pieces are valid JSON: %v, the whole: %v", valid, json.Valid(body))
		}
		var elements []json.RawMessage
		if json.Unmarshal(body, &elements) == nil && len(elements) != len(items) {
			t.Fatalf("%d items of %d elements", len(items), len(elements))
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add("usage.a1", "", "1", "/s", "a1", "2026-12-01T00:00:00Z", []byte(body))
	f.Add("usage.batch.3", events.ContentTypeBatch, "1", "/s", "a1", "", []byte("[{}]"))
	f.Add("usage.5.a1", "application/json; charset=utf-8", `"q\" %41"`, "/s%20", "a1", "2026-12-01T00:00:00Z", []byte(body))
	f.Fuzz(func(t *testing.T, subject, contentType, id, source, account, at string, body []byte) {
		header := binary("ce-id", id, "ce-source", source, "CE-Subject", account, "ce-time", at, "Content-Type", contentType)
		delete(header, "ce-subject")
		items := events.DecodeMessage(subject, header, body, 16)
		if len(items) == 0 {
			t.Fatal("no item")
		}
		for _, item := range items {
			if item.Err == nil {
				survives(t, item.Usage)
			}
		}
	})
}

// survives fails the test when an accepted event is not the same after having
// been encoded and decoded in either mode.
func survives(t *testing.T, u events.Usage) {
	t.Helper()
	if err := u.Validate(); err != nil {
		t.Fatalf("accepted %+v, which is not valid: %v", u, err)
	}
	structured, err := events.AppendStructured(nil, u)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, events.Item{Usage: u, Raw: structured}, events.DecodeEvent(structured))
	again, err := events.AppendStructured(nil, u)
	if err != nil || !bytes.Equal(structured, again) {
		t.Errorf("encoded as %s, then as %s", structured, again)
	}
	header, body, err := events.EncodeBinary(u)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, events.Item{Usage: u, Raw: body}, events.DecodeBinary(header, body))
}

func FuzzDecodeChunk(f *testing.F) {
	for _, chunk := range chunks() {
		body, err := events.EncodeChunk(chunk)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		chunk, err := events.DecodeChunk(body)
		if err != nil {
			return
		}
		var plain events.Chunk
		if err := jsonv2.Unmarshal(body, &plain, jsonv2.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("accepted what json.Unmarshal refuses: %v", err)
		}
		same(t, plain, chunk)
		encoded, err := events.EncodeChunk(chunk)
		if err != nil {
			t.Fatalf("accepted but not encoded: %v", err)
		}
		again, err := events.DecodeChunk(encoded)
		if err != nil {
			t.Fatalf("encoded but not accepted: %v", err)
		}
		same(t, chunk, again)
	})
}

func FuzzDecodeSignal(f *testing.F) {
	_, body, err := events.EncodeSignal(signal())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := events.DecodeSignal(body)
		if err != nil {
			return
		}
		_, encoded, err := events.EncodeSignal(s)
		if err != nil {
			t.Fatalf("accepted but not encoded: %v", err)
		}
		again, err := events.DecodeSignal(encoded)
		if err != nil {
			t.Fatalf("encoded but not accepted: %v", err)
		}
		same(t, s, again)
	})
}

func FuzzParseDeadLetter(f *testing.F) {
	f.Add("malformed", "found \"x\"", "7", "0", "2026-12-01T00:00:00Z", "ce-id", "1")
	f.Add(" invalid\n", "", "18446744073709551615", "3", "2026-12-01T00:00:00+01:00", "Nats-Rollup", "all")
	f.Fuzz(func(t *testing.T, reason, detail, sequence, index, storedAt, name, value string) {
		d, err := events.ParseDeadLetter(map[string][]string{
			events.HeaderReason: {reason}, events.HeaderDetail: {detail}, events.HeaderSubject: {"usage.a1"}, name: {value},
			events.HeaderSequence: {sequence}, events.HeaderIndex: {index}, events.HeaderStoredAt: {storedAt},
		}, []byte(value), 1)
		if err != nil {
			return
		}
		header := events.DeadLetterHeader(d)
		for name := range header {
			if len(name) >= 5 && strings.EqualFold(name[:5], "nats-") {
				t.Fatalf("header %q of the original reaches NATS", name)
			}
		}
		again, err := events.ParseDeadLetter(header, d.Body, 1)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		same(t, d, again)
	})
}

// same compares what encoding may change in form only: instants, and an empty
// collection for an absent one.
func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(events.Quantity{}, events.Total{}), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func signal() events.Signal {
	at := time.Date(2026, 12, 1, 0, 0, 0, 123456000, time.UTC)
	return events.Signal{
		Account: "a1", Kind: events.SignalLow, Threshold: "20%", Scope: events.ScopeAccount, Sequence: 3, At: at,
		Balance: events.SignalBalance{Available: events.MustCredits("1.5")},
		Cause:   events.Cause{Sequence: 9, Index: 2, Kind: events.EntryDebit, At: at, Source: "/s", ID: "1"},
	}
}

// chunks returns one chunk of each kind of entry.
func chunks() []events.Chunk {
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	priority, stop := uint8(0), events.Credits(0)
	terms := events.Terms{Period: "month", Grant: &events.PlanGrant{Amount: events.MustCredits("10"), Priority: &priority},
		Overage: events.OverageHard, Thresholds: []string{"20%", "5"}, HardStopAt: &stop,
		TopUp: &events.TopUp{Below: events.Credit, Amount: 5 * events.Credit, AtMostPerPeriod: 4, Cooldown: events.Duration(time.Minute), Timeout: events.Duration(time.Hour)}}
	price := events.MustQuantity("0.25")
	tiered := &events.Tiered{Quantity: "requests", Tiers: []events.PriceTier{{UpTo: &price, Price: price, Per: price}, {Price: price}}}
	example := events.Example{Credits: events.Credit, Event: events.ExampleEvent{Operation: "GET /a", Status: 200, Project: "web", Key: "k", Account: "a1", Plan: "pro",
		Time: at, Quantities: map[string]events.Quantity{"pages": price}, Attributes: map[string]string{"a": ""}, Used: map[string]events.Quantity{"requests": price}}}
	card := events.RateCard{Card: "default", EffectiveFrom: at, Rounding: events.RoundHalfEven, Rules: []events.Rule{
		{Name: "free", Match: events.Match{Status: "5xx", Operation: "GET /**", Project: "web", Attributes: map[string]string{"a": "b"}}, Price: events.Price{Flat: new(events.Quantity)}},
		{Name: "rest", Price: events.Price{Flat: &price, Min: &price,
			PerUnit: []events.PerUnit{{Quantity: "tokens", Price: price, Per: events.MustQuantity("1000")}},
			Package: &events.Package{Quantity: "bytes_out", Size: events.MustQuantity("1048576"), Price: price}}},
		{Name: "all", Match: events.Match{Plan: "pro", When: `attributes["a"] == "b"`}, Examples: []events.Example{example}, Price: events.Price{
			Graduated: tiered, Volume: tiered, Max: &price, Multiply: []events.Multiplier{{When: "true", By: price}},
			Matrix: &events.Matrix{By: []string{"a"}, Quantity: "pages", Per: price, Cells: []events.Cell{{Values: []string{"b"}, Price: price}}, Default: &price}}},
	}, Examples: []events.Example{example}}
	grant := events.Grant{ID: "g:1", Amount: events.Credit, Priority: &priority, EffectiveAt: at, ExpiresAt: at.Add(time.Hour),
		Source: events.SourcePromo, TopUp: "topup:a1:1", CostBasis: &events.CostBasis{Currency: "USD", Price: price}, Note: "welcome"}
	settings := events.Account{ID: "a1", Plan: "pro", StartedAt: at, Terms: terms}
	entries := []events.Entry{
		{Kind: events.EntryGrant, Account: "a1", Grant: &grant},
		{Kind: events.EntryVoid, Account: "a1", Void: &events.Void{Grant: "g:1", Reason: "mistake"}},
		{Kind: events.EntryHold, Account: "a1", Hold: &events.Hold{ID: "h:1", Amount: events.Credit, ExpiresIn: events.Duration(time.Minute), Project: "web", Key: "k1", Attributes: map[string]string{"team": "a", "area": "b"}}},
		{Kind: events.EntryCapture, Account: "a1", Capture: &events.Capture{Hold: "h:1", Amount: events.Credit}},
		{Kind: events.EntryRelease, Account: "a1", Release: &events.Release{Hold: "h:1"}},
		{Kind: events.EntryAdjust, Account: "a1", Adjust: &events.Adjustment{ID: "a:1", Amount: -events.Credit, Reason: "counted twice"}},
		{Kind: events.EntryDecline, Account: "a1", Decline: &events.Decline{TopUp: "topup:a1:1", Reason: "card refused"}},
		{Kind: events.EntryAccount, Account: "a1", Settings: &settings},
		{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "pro", Terms: terms}},
		{Kind: events.EntryRateCard, RateCard: &card},
		{Kind: events.EntryTick, Account: "a1"},
	}
	all := []events.Chunk{debits(2), changed(tier), {Span: &events.Span{Rewound: true}},
		{Span: &events.Span{Through: events.Position{Sequence: 7, Index: 3, StoredAt: at}, Rewound: true}}, {Span: &events.Span{Through: events.Position{Sequence: 1, StoredAt: at}, Events: 3, Duplicates: 1, Rejected: 2}}, {Entries: entries}}
	for _, entry := range entries {
		all = append(all, events.Chunk{Entries: []events.Entry{entry}})
	}
	return all
}
