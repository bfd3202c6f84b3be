package schematest_test

import (
	"bytes"
	"encoding/base64"
	jsonv1 "encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/schemas"
)

// compile compiles every embedded schema, by name.
func compile(tb testing.TB) map[string]*jsonschema.Schema {
	tb.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.AssertContent()
	files, err := fs.Glob(schemas.Files, "*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("%d schemas, %v", len(files), err)
	}
	for _, file := range files {
		body, err := schemas.JSON(strings.TrimSuffix(file, ".json"))
		if err != nil {
			tb.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		if id := doc.(map[string]any)["$id"]; id != schemas.Base+file {
			tb.Errorf("%s: $id is %v", file, id)
		}
		if err := compiler.AddResource(schemas.Base+file, doc); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
	}
	compiled := make(map[string]*jsonschema.Schema)
	for _, file := range files {
		schema, err := compiler.Compile(schemas.Base + file)
		if err != nil {
			tb.Fatalf("compile %s: %v", file, err)
		}
		compiled[strings.TrimSuffix(file, ".json")] = schema
	}
	return compiled
}

// subject is one schema, what is really encoded for it, and which members it
// must require. A closed one refuses members it does not know.
type subject struct {
	encode   func(*rapid.T) ([]byte, error)
	required string
	closed   bool
}

func plainly[T any](draw func(*rapid.T) T) func(*rapid.T) ([]byte, error) {
	return func(t *rapid.T) ([]byte, error) {
		if rapid.Bool().Draw(t, "encoding/json") {
			return jsonv1.Marshal(draw(t))
		}
		return json.Marshal(draw(t))
	}
}

var subjects = map[string]subject{
	"usage.v1": {
		encode:   func(t *rapid.T) ([]byte, error) { return events.AppendStructured(nil, usage(t)) },
		required: "specversion type id source subject time data",
	},
	"usage-data.v1": {
		encode: func(t *rapid.T) ([]byte, error) { return events.EncodeData(usageData(t)) }, required: "operation", closed: true,
	},
	"signal.v1": {
		encode: func(t *rapid.T) ([]byte, error) {
			_, body, err := events.EncodeSignal(signal(t))
			return body, err
		},
		required: "specversion type id source subject time data",
	},
	"ledger-chunk.v1": {encode: func(t *rapid.T) ([]byte, error) { return events.EncodeChunk(chunk(t)) }, closed: true},
	"balance.v1": {
		encode: plainly(balance), required: "account available held overage granted remaining drawn expired voided charged forgiven sequence at",
	},
	"decision.v1":   {encode: plainly(decision), required: "sequence outcome"},
	"deadletter.v1": {encode: plainly(deadLetter), required: "id reason detail subject usage_sequence stored_at body"},
	"grant.v1":      {encode: plainly(grant), required: "id amount", closed: true},
	"account.v1":    {encode: plainly(account), required: "id", closed: true},
	"plan.v1":       {encode: plainly(plan), required: "plan", closed: true},
	"ratecard.v1":   {encode: plainly(rateCard), required: "card rules", closed: true},
}

func TestEverySchemaHasASubject(t *testing.T) {
	for name := range compile(t) {
		if _, ok := subjects[name]; !ok && name != "values.v1" {
			t.Errorf("nothing is checked against %s", name)
		}
	}
}

func TestWhatIsEncodedIsAsItsSchemaSays(t *testing.T) {
	compiled := compile(t)
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				body, value := encoded(t, s)
				if err := compiled[name].Validate(value); err != nil {
					t.Fatalf("%s: %v", body, err)
				}
			})
		})
	}
}

func TestSchemasRefuseWhatIsNotEncoded(t *testing.T) {
	compiled := compile(t)
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				for _, member := range strings.Fields(s.required) {
					_, value := encoded(t, s)
					delete(value, member)
					refused(t, compiled[name], value, "without "+member)
				}
				_, value := encoded(t, s)
				if s.closed {
					value["quantites"] = "1"
					refused(t, compiled[name], value, "with an unknown member")
					delete(value, "quantites")
				}
				path := spoil(t, value)
				refused(t, compiled[name], value, "with another type at "+path)
			})
		})
	}
}

// TestWhatTheDecoderTakesTheSchemaTakes holds also for events that were never
// encoded by us.
func TestWhatTheDecoderTakesTheSchemaTakes(t *testing.T) {
	schema := compile(t)["usage.v1"]
	values := []string{`1`, `"1"`, `1.50`, `1e3`, `"1e-3"`, `null`, `true`, `""`, `-1`, `"x"`, `{}`, `[]`, `"2026-12-01T00:00:00+05:30"`, `"application/vnd.a+json"`, `200`, `{"a":1}`, `{"a":"b"}`}
	names := []string{"specversion", "id", "source", "subject", "time", "drawdownbackfill", "datacontenttype", "traceparent", "Upper", "data", "data_base64"}
	members := []string{"operation", "status", "project", "key", "quantities", "attributes", "other"}
	rapid.Check(t, func(t *rapid.T) {
		data := map[string]jsonv1.RawMessage{"operation": jsonv1.RawMessage(`"GET /"`)}
		data[rapid.SampledFrom(members).Draw(t, "member")] = jsonv1.RawMessage(rapid.SampledFrom(values).Draw(t, "value"))
		inner, err := jsonv1.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		event := map[string]jsonv1.RawMessage{"data": inner}
		for name, value := range map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": events.TypeUsage, "subject": "a1", "time": "2026-12-01T00:00:00Z"} {
			event[name] = jsonv1.RawMessage(`"` + value + `"`)
		}
		if rapid.IntRange(0, 2).Draw(t, "encode the data") == 0 {
			event["data"] = jsonv1.RawMessage(`null`)
			event["data_base64"] = jsonv1.RawMessage(`"` + base64.StdEncoding.EncodeToString([]byte(`{"operation":"GET /"}`)) + `"`)
		}
		if rapid.Bool().Draw(t, "change an attribute") {
			event[rapid.SampledFrom(names).Draw(t, "name")] = jsonv1.RawMessage(rapid.SampledFrom(values).Draw(t, "attribute"))
		}
		body, err := jsonv1.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		taken, conforms := events.DecodeEvent(body).Err, schema.Validate(value)
		if (taken == nil) != (conforms == nil) {
			t.Fatalf("%s: the decoder says %v, the schema %v", body, taken, conforms)
		}
	})
}

func encoded(t *rapid.T, s subject) ([]byte, map[string]any) {
	body, err := s.encode(t)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return body, value.(map[string]any)
}

func refused(t *rapid.T, schema *jsonschema.Schema, value any, how string) {
	if schema.Validate(value) == nil {
		t.Fatalf("taken %s: %v", how, value)
	}
}

// spoil replaces one value somewhere in object by one of a type it may not
// have, and returns where.
func spoil(t *rapid.T, object map[string]any) string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	name := rapid.SampledFrom(names).Draw(t, "spoiled")
	if inner, ok := object[name].(map[string]any); ok && len(inner) > 0 && rapid.Bool().Draw(t, "deeper") {
		return name + "/" + spoil(t, inner)
	}
	if list, ok := object[name].([]any); ok && len(list) > 0 && rapid.Bool().Draw(t, "inside") {
		if inner, ok := list[0].(map[string]any); ok && len(inner) > 0 {
			return name + "/0/" + spoil(t, inner)
		}
	}
	if _, ok := object[name].([]any); ok {
		object[name] = map[string]any{}
	} else {
		object[name] = []any{map[string]any{}}
	}
	return name
}
