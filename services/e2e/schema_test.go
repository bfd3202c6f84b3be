package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/schemas"
)

func TestWhatAnInstallationStoresIsAsTheSchemasSay(t *testing.T) {
	in := up(t, t.TempDir())
	in.must("ratecard", "apply", rateCard)
	in.must("plan", "apply", "../../docs/examples/plan.yaml")
	in.must("account", "set", "acme", "--plan", "pro")
	in.must("grant", "add", "umbrella", "0.5", "--id", "small", "--note", "to run out")
	in.must("grant", "add", "acme", "3", "--id", "gone")
	in.must("grant", "void", "acme", "gone", "--reason", "refunded")
	limited := filepath.Join(t.TempDir(), "initech.yaml")
	if err := os.WriteFile(limited, []byte("budgets: [{scope: \"project:*\", limit: \"1\", per: day}, {scope: \"team:red\", limit: 9, per: week}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in.must("account", "set", "initech", "--file", limited)
	in.must("grant", "add", "initech", "20", "--id", "all")
	in.must("hold", "place", "initech", "1", "--id", "job", "--project", "web", "--attribute", "team=red")
	in.must("hold", "capture", "initech", "job", "1")
	in.eventually(startTimeout, "shows that the budget is exceeded", func() bool { return strings.Contains(in.must("balance", "initech"), "exceeded") })
	in.must("hold", "place", "acme", "2", "--id", "kept", "--project", "web", "--attribute", "team=red")
	in.must("hold", "place", "acme", "2", "--id", "used", "--expires-in", "90s")
	in.must("hold", "capture", "acme", "used", "1")
	in.must("hold", "place", "acme", "2", "--id", "dropped")
	in.must("hold", "release", "acme", "dropped")
	batch := "[" + event("acme", "1") + "," + event("umbrella", "2") + "," + event("umbrella", "3") + "]"
	if status, body := in.post(events.ContentTypeBatch, batch); status != 202 {
		t.Fatalf("post: %d %s", status, body)
	}
	verified(in)
	js := in.jetStream()
	v := newValidator(t)
	if n := v.stream(js, events.StreamLedger, "ledger-chunk.v1"); n < 16 {
		t.Errorf("%d ledger messages were checked; want at least 16", n)
	}
	if n := v.stream(js, events.StreamSignals, "signal.v1"); n < 3 {
		t.Errorf("%d signals were checked; want low, exhausted and budget_exceeded at least", n)
	}
	if n := v.stream(js, "KV_"+events.BucketBalances, "balance.v1"); n != 3 {
		t.Errorf("%d balances were checked; want 3", n)
	}
	if n := v.stream(js, events.StreamUsage, "usage.v1"); n != 3 {
		t.Errorf("%d usage events were checked; want 3", n)
	}
	if n := v.stream(js, "KV_"+events.BucketCatalog, ""); n != 4 {
		t.Errorf("%d catalog entries were checked; want a plan, a card and two accounts", n)
	}
}

// validator holds real messages against the published schemas.
type validator struct {
	t       *testing.T
	schemas map[string]*jsonschema.Schema
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	files, err := fs.Glob(schemas.Files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := schemas.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(schemas.Base+file, document); err != nil {
			t.Fatal(err)
		}
	}
	v := &validator{t: t, schemas: map[string]*jsonschema.Schema{}}
	for _, file := range files {
		if v.schemas[strings.TrimSuffix(file, ".json")], err = compiler.Compile(schemas.Base + file); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// catalogSchemas are the schemas of catalog entries, by the first token of
// their key.
var catalogSchemas = map[string]string{"plan": "plan.v1", "account": "account.v1", "ratecard": "ratecard.v1"}

// stream validates every document in a stream and returns how many there were.
func (v *validator) stream(js jetstream.JetStream, name, schema string) (n int) {
	v.t.Helper()
	stream, err := js.Stream(v.t.Context(), name)
	if err != nil {
		v.t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := stream.GetMsg(v.t.Context(), sequence)
		if err != nil {
			continue // replaced by a newer value of its key
		}
		use := schema
		if use == "" {
			use = catalogSchemas[strings.Split(strings.TrimPrefix(m.Subject, "$KV."+events.BucketCatalog+"."), ".")[0]]
		}
		for _, document := range documents(m.Data) {
			n++
			v.validate(use, m.Subject, document)
		}
	}
	return n
}

func (v *validator) validate(schema, where string, document []byte) {
	v.t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		v.t.Errorf("%s: %v", where, err)
		return
	}
	if err := v.schemas[schema].Validate(value); err != nil {
		v.t.Errorf("%s is not as %s says: %v\n%s", where, schema, err, document)
	}
}

// documents takes a batch apart.
func documents(body []byte) []json.RawMessage {
	var batch []json.RawMessage
	if json.Unmarshal(body, &batch) == nil {
		return batch
	}
	return []json.RawMessage{body}
}
