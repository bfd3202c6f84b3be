package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// routes registers every operation and renders the OpenAPI document.
func (g *Gateway) routes() error {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Drawdown", Version: g.Version,
				Description: "Real-time API credits. Credits are decimal strings with at most 6 places; times are RFC 3339 in UTC; errors are RFC 9457 problems.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"apiKey": {Type: "http", Scheme: "bearer", Description: "The API key."}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	config.AllowAdditionalPropertiesByDefault = true // answers may grow
	g.api = humago.New(g.mux, config)
	g.ingestRoutes()
	g.planRoutes()
	g.rateCardRoutes()
	g.simulateRoutes()
	g.accountRoutes()
	g.grantRoutes()
	g.balanceRoutes()
	g.adjustmentRoutes()
	g.holdRoutes()
	g.topUpRoutes()
	g.historyRoutes()
	g.explainRoutes()
	g.correctionRoutes()
	g.signalRoutes()
	g.deadLetterRoutes()
	g.statusRoutes()
	g.healthRoutes()
	return g.documentRoutes()
}

// register adds an operation. Its errors become problems; operations under /v1
// need the key.
func register[I, O any](g *Gateway, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if strings.HasPrefix(op.Path, "/v1/") {
		op.Security = []map[string][]string{{"apiKey": {}}}
	}
	op.Errors = errorsOf(op)
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	var content map[string]*huma.MediaType
	if op.RequestBody != nil {
		content = op.RequestBody.Content
		op.RequestBody.Content = nil
		op.SkipValidateBody = true // bodies are decoded strictly by their own parsers
		op.MaxBodyBytes = bodyMax + 1
	}
	huma.Register(g.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, g.problemOf(ctx, op.OperationID, err)
		}
		return out, nil
	})
	if op.RequestBody != nil {
		op.RequestBody.Content = content // instead of the raw bytes it was registered with
	}
	if created := op.Responses["201"]; created != nil { // see createdStatus
		created.Description = "Done."
		op.Responses["200"] = &huma.Response{Description: "The same was done before: unchanged.", Content: created.Content}
	}
}

// errorsOf lists the statuses of the problems that an operation answers with:
// its own, and those of all that are like it.
func errorsOf(op huma.Operation) []int {
	if !strings.HasPrefix(op.Path, "/v1/") {
		return nil
	}
	all := append([]int{http.StatusUnauthorized, http.StatusServiceUnavailable}, op.Errors...)
	if op.RequestBody != nil {
		all = append(all, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.Method == http.MethodGet && strings.Contains(op.Path, "{") {
		all = append(all, http.StatusNotFound)
	}
	return all
}

// Problems of commands that the ledger's fold decides, besides 422, which every
// operation with input has.
var (
	addErrors = []int{http.StatusConflict, http.StatusGatewayTimeout}                      // of what creates something
	endErrors = []int{http.StatusNotFound, http.StatusConflict, http.StatusGatewayTimeout} // of what is about something there
)

// body documents a request body: a type per content type.
func (g *Gateway) body(types map[string]any) *huma.RequestBody {
	registry := g.api.OpenAPI().Components.Schemas
	content := make(map[string]*huma.MediaType, len(types))
	for contentType, value := range types {
		t := reflect.TypeOf(value)
		schema := registry.Schema(t, true, t.Name())
		content[contentType] = &huma.MediaType{Schema: schema}
		if len(types) == 1 { // a type of requests alone
			registry.SchemaFromRef(schema.Ref).AdditionalProperties = false
		}
	}
	return &huma.RequestBody{Required: true, Content: content}
}

// Content types of documents that people write.
var documentTypes = []string{"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}

// checkType refuses a body that says it is something else than one of accepted.
// One that does not say is taken.
func checkType(contentType string, accepted ...string) error {
	if contentType == "" {
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		mediaType = ""
	}
	if err != nil || !slices.Contains(accepted, mediaType) {
		return newProblem(http.StatusUnsupportedMediaType, "found the content type %q; expected %s",
			clip(contentType), strings.Join(accepted, ", "))
	}
	return nil
}

// documentRoutes serves the OpenAPI document and a page of it for people. The
// document is rendered once: it does not change afterwards.
func (g *Gateway) documentRoutes() error {
	document, err := json.Marshal(g.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("render the OpenAPI document: %w", err)
	}
	page, err := renderDocs(g.api.OpenAPI())
	if err != nil {
		return err
	}
	serve := func(contentType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Write(body)
		}
	}
	g.mux.HandleFunc("GET /openapi.json", serve("application/json", document))
	g.mux.HandleFunc("GET /docs", serve("text/html; charset=utf-8", page))
	return nil
}
