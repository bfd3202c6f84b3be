package events_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
)

func TestChunksSurviveEncoding(t *testing.T) {
	for _, chunk := range chunks() {
		body, err := events.EncodeChunk(chunk)
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.DecodeChunk(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		compare(t, chunk, got)
		plain, err := json.Marshal(chunk, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, string(plain), string(body))
		for range 5 {
			again, err := events.EncodeChunk(got)
			if err != nil || string(again) != string(body) {
				t.Fatalf("encoded as %s, then as %s (%v)", body, again, err)
			}
		}
	}
}

func TestDecodeChunkRefuses(t *testing.T) {
	span := `"span":{"through":{"sequence":1,"stored_at":"2026-12-01T00:00:00Z"},"events":1}`
	debit := `{"kind":"debit","account":"a1","debit":{"source":"/s","id":"1","time":"2026-12-01T00:00:00Z","data":{"operation":"x"},"position":{"sequence":1},"amount":"1","card":"default","version":1,"rule":"r","arithmetic":""}}`
	tick := `{"kind":"tick","account":"a1"}`
	if _, err := events.DecodeChunk([]byte(`{` + span + `,"entries":[` + debit + `]}`)); err != nil {
		t.Fatalf("the chunk that the others are made from: %v", err)
	}
	tests := map[string]struct{ body, path string }{
		"what is not JSON":                  {"hello", ""},
		"nothing":                           {"", ""},
		"null":                              {"null", ""},
		"an empty chunk":                    {"{}", ""},
		"a usage event":                     {string(document()), "/specversion"},
		"something behind the chunk":        {`{"entries":[` + tick + `]} x`, ""},
		"a duplicate name":                  {`{"entries":[],"entries":[` + tick + `]}`, "/entries"},
		"an unknown field of the chunk":     {`{"entries":[` + tick + `],"more":1}`, "/more"},
		"an unknown field of an entry":      {`{"entries":[{"kind":"tick","account":"a1","more":1}]}`, "/entries/0/more"},
		"an unknown field of a debit":       {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"rule"`, `"ruler"`, 1), "/entries/0/debit/ruler"},
		"a sequence below 0":                {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"position":{"sequence":1`, `"position":{"sequence":-1`, 1), "/entries/0/debit/position/sequence"},
		"a version that is not whole":       {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"version":1`, `"version":1.5`, 1), "/entries/0/debit/version"},
		"a misspelt quantity":               {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"operation":"x"`, `"operation":"x","quantites":{}`, 1), "/entries/0/debit/data/quantites"},
		"text in place of the entries":      {`{"entries":"x"}`, "/entries"},
		"entries that do not end":           {`{"entries":[` + tick, ""},
		"a bad field in a grant":            {`{"entries":[{"kind":"grant","account":"a1","grant":{"id":"g","amount":"x"}}]}`, "/entries/0/grant/amount"},
		"an unknown kind":                   {`{"entries":[{"kind":"gift","account":"a1"}]}`, "/entries/0/kind"},
		"an entry without content":          {`{"entries":[{"kind":"grant","account":"a1"}]}`, "/entries/0"},
		"an entry with another's content":   {`{"entries":[{"kind":"grant","account":"a1","void":{"grant":"g"}}]}`, "/entries/0"},
		"an entry with two contents":        {`{"entries":[{"kind":"void","account":"a1","void":{"grant":"g"},"grant":{"id":"g","amount":"1"}}]}`, "/entries/0"},
		"a tick with content":               {`{"entries":[{"kind":"tick","account":"a1","void":{"grant":"g"}}]}`, "/entries/0"},
		"an entry without account":          {`{"entries":[{"kind":"tick"}]}`, "/entries/0/account"},
		"a plan with an account":            {`{"entries":[{"kind":"plan","account":"a1","plan":{"plan":"p"}}]}`, "/entries/0/account"},
		"a number as credits":               {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"amount":"1"`, `"amount":1`, 1), "/entries/0/debit/amount"},
		"seven places of credits":           {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"amount":"1"`, `"amount":"0.0000001"`, 1), "/entries/0/debit/amount"},
		"a negative debit":                  {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"amount":"1"`, `"amount":"-1"`, 1), "/entries/0/debit/amount"},
		"a debit without span":              {`{"entries":[` + debit + `]}`, "/span"},
		"a span that does not add up":       {`{` + span + `}`, "/span"},
		"a way back with a debit":           {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"events":`, `"rewound":true,"events":`, 1), "/span"},
		"a way back with events":            {`{"span":{"through":{"sequence":1},"events":1,"rejected":1,"rewound":true}}`, "/span"},
		"a way back to nowhere":             {`{"span":{"through":{"sequence":0,"index":1},"events":0,"rewound":true}}`, "/span/through"},
		"a span that ends before the first": {strings.Replace(`{`+span+`,"entries":[`+debit+`]}`, `"sequence":1`, `"sequence":0`, 1), "/span/through"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := events.DecodeChunk([]byte(test.body))
			var problem *events.Problem
			if !errors.As(err, &problem) || problem.Path != test.path || !errors.Is(err, events.ErrInvalid) {
				t.Errorf("%v; want a problem at %q", err, test.path)
			}
		})
	}
}

func TestEncodeChunkRefusesWhatCouldNotBeDecoded(t *testing.T) {
	for name, chunk := range map[string]events.Chunk{
		"an empty chunk":         {},
		"an unknown kind":        {Entries: []events.Entry{{Kind: "gift", Account: "a1"}}},
		"text that is not UTF-8": changed(func(d *events.Debit) { d.Rule = "\xff" }),
		"data that is not UTF-8": changed(func(d *events.Debit) { d.Data.Operation = "\xff" }),
		"a time after 9999":      changed(func(d *events.Debit) { d.Time = d.Time.AddDate(9000, 0, 0) }),
	} {
		if body, err := events.EncodeChunk(chunk); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %s, %v", name, body, err)
		}
	}
}

// tier gives a debit two tiers.
func tier(d *events.Debit) {
	period := time.Date(2026, 11, 10, 8, 30, 0, 5000, time.UTC)
	d.Tiers = []events.Tier{
		{Part: events.PartGraduated, Quantity: "requests", Period: period, Amount: events.MustQuantity("1")},
		{Part: events.PartVolume, Quantity: "tokens_in", Period: period, Before: total("18446744073709551614.5"), Amount: events.MustQuantity("1.000000000001")},
	}
}

func TestADebitWithoutTiersIsEncodedAsEver(t *testing.T) {
	body, err := events.EncodeChunk(changed(func(d *events.Debit) { d.Tiers = []events.Tier{} }))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(body), `"arithmetic":"0.01 + 374 / 1000 × 0.15 + 44.5 / 1000 × 0.60 = 0.0928"}}]}`) {
		t.Errorf("encoded as %s", body)
	}
}

func TestDecodeChunkRefusesTiers(t *testing.T) {
	body, err := events.EncodeChunk(changed(tier))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ old, new, path string }{
		"an unknown part":                  {`"part":"volume"`, `"part":"flat"`, "/entries/0/debit/tiers/1/part"},
		"a quantity that is no name":       {`"quantity":"tokens_in"`, `"quantity":"1"`, "/entries/0/debit/tiers/1/quantity"},
		"an unknown field":                 {`"part":"volume"`, `"party":"volume"`, "/entries/0/debit/tiers/1/party"},
		"a period that never was":          {`"period":"2026-11-10T08:30:00.000005Z","before":"0"`, `"period":"0001-01-01T00:00:00Z","before":"0"`, "/entries/0/debit/tiers/0/period"},
		"no amount":                        {`"amount":"1"`, `"amount":"0"`, "/entries/0/debit/tiers/0/amount"},
		"a number as amount":               {`"amount":"1"`, `"amount":1`, "/entries/0/debit/tiers/0/amount"},
		"a negative total":                 {`"before":"0"`, `"before":"-1"`, "/entries/0/debit/tiers/0/before"},
		"a total of 13 places":             {`"before":"0"`, `"before":"0.0000000000001"`, "/entries/0/debit/tiers/0/before"},
		"an amount beyond the total's end": {`"amount":"1.000000000001"`, `"amount":"1.5"`, "/entries/0/debit/tiers/1/before"},
		"tiers that are no list":           {`"tiers":[`, `"tiers":1,"more":[`, "/entries/0/debit/tiers"},
	} {
		changed := strings.Replace(string(body), tc.old, tc.new, 1)
		_, err := events.DecodeChunk([]byte(changed))
		var problem *events.Problem
		if !errors.As(err, &problem) || problem.Path != tc.path {
			t.Errorf("%s: %v; want a problem at %q", name, err, tc.path)
		}
	}
}

// changed returns a chunk whose debit change has changed.
func changed(change func(*events.Debit)) events.Chunk {
	chunk := debits(1)
	change(chunk.Entries[0].Debit)
	return chunk
}

func TestSignalsSurviveEncoding(t *testing.T) {
	s := signal()
	header, body, err := events.EncodeSignal(s)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, map[string][]string{"Content-Type": {"application/cloudevents+json"}}, header)
	got, err := events.DecodeSignal(body)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, s, got)
	grown := strings.Replace(string(body), `"scope":`, `"new_field":{"a":1},"scope":`, 1)
	if got, err = events.DecodeSignal([]byte(grown)); err != nil {
		t.Errorf("a signal that has grown: %v", err)
	}
	compare(t, s, got)
}

func TestDecodeSignalRefuses(t *testing.T) {
	_, body, err := events.EncodeSignal(signal())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another specversion":             {`"specversion":"1.0"`, `"specversion":"1.1"`},
		"an id that is not its own":       {`"id":"a1.3"`, `"id":"a1.4"`},
		"another source":                  {`/drawdown/enforcer`, `/other`},
		"a type that is not its kind's":   {`"type":"drawdown.credits.low.v1"`, `"type":"drawdown.credits.exhausted.v1"`},
		"a subject that is not its own":   {`"subject":"a1"`, `"subject":"a2"`},
		"a time that is not its own":      {`"time":"2026-12-01T00:00:00.123456Z"`, `"time":"2026-12-01T00:00:01Z"`},
		"a duplicate name":                {`"scope":`, `"kind":"low","scope":`},
		"a number as balance":             {`"available":"1.5"`, `"available":1.5`},
		"something behind it":             {`}}`, `}} x`},
		"an event that is none of signal": {string(body), string(document())},
	} {
		changed := strings.Replace(string(body), change[0], change[1], 1)
		if changed == string(body) {
			t.Fatalf("%s: nothing changed in %s", name, body)
		}
		if _, err := events.DecodeSignal([]byte(changed)); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
