package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

// problemBase is put before a problem's name to make its type.
const problemBase = "https://drawdown.example/problems/"

const contentTypeProblem = "application/problem+json"

// Problem is the body of every error: RFC 9457 problem details.
type Problem struct {
	Type   string `json:"type" doc:"Identifies the kind of problem."`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitzero" doc:"What happened, and what to do about it."`
	// Errors lists each fault of the input.
	Errors []Fault `json:"errors,omitempty"`
	// LedgerSequence says where a command is stored whose answer is not known.
	LedgerSequence uint64 `json:"ledger_sequence,omitzero"`
	// Insufficiency is set when credits do not suffice: status 402.
	*Insufficiency

	header http.Header
}

// Fault is one thing that is wrong with the input, and where.
type Fault struct {
	Index  *int   `json:"index,omitempty" doc:"Of the usage event in its batch, from 0."`
	ID     string `json:"id,omitzero" doc:"Of the usage event, where it could be read."`
	Line   int    `json:"line,omitzero"`
	Column int    `json:"column,omitzero"`
	Path   string `json:"path,omitzero" doc:"A JSON pointer into the document, or the parameter."`
	Code   string `json:"code,omitzero"`
	Detail string `json:"detail"`
}

// faultsOf lists what an *events.Problem lists.
func faultsOf(err error) (faults []Fault) {
	var p *events.Problem
	if !errors.As(err, &p) {
		return nil
	}
	for _, one := range append([]events.Problem{*p}, p.Also...) {
		faults = append(faults, Fault{Path: one.Path, Code: one.Code, Detail: one.Detail})
	}
	return faults
}

// Names of problems by status, where the status says it all.
var problemNames = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusPaymentRequired:       "insufficient-credits",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method-not-allowed",
	http.StatusRequestTimeout:        "too-slow",
	http.StatusConflict:              "conflict",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusUnsupportedMediaType:  "unsupported-media-type",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusInternalServerError:   "internal",
	http.StatusNotImplemented:        "not-supported",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "undecided",
}

func newProblem(status int, format string, args ...any) *Problem {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
	if name, ok := problemNames[status]; ok {
		p.Type = problemBase + name
	}
	return p
}

// unavailable is the problem of a part that does not answer now.
func unavailable(format string, args ...any) *Problem {
	return newProblem(http.StatusServiceUnavailable, format, args...).with("Retry-After", strconv.Itoa(retryAfterSeconds))
}

const retryAfterSeconds = 2

func notFound(format string, args ...any) *Problem {
	return newProblem(http.StatusNotFound, format, args...)
}

func invalid(detail string, faults ...Fault) *Problem {
	p := newProblem(http.StatusUnprocessableEntity, "%s", detail)
	p.Errors = faults
	return p
}

func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers of the answer, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of problem details.
func (p *Problem) ContentType(string) string { return contentTypeProblem }

// write answers with p where no operation of the API does.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", contentTypeProblem)
	body, _ := json.Marshal(p) // of strings and numbers
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// The library has one constructor of errors per process. It is set here so
// that what it finds wrong with parameters is described as everything else.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		if message == "validation failed" {
			message = "the request is not valid"
		}
		p := newProblem(status, "%s", message)
		for _, err := range errs {
			var detail *huma.ErrorDetail
			switch {
			case err == nil:
			case errors.As(err, &detail):
				p.Errors = append(p.Errors, parameterFault(detail))
			default:
				p.Errors = append(p.Errors, Fault{Code: "invalid", Detail: err.Error()})
			}
		}
		return p
	}
}

// parameterFault says what the library found wrong with a parameter as
// everything else is said: what was found, and what was expected.
func parameterFault(d *huma.ErrorDetail) Fault {
	detail := strings.Replace(d.Message, "expected string to be ", "expected ", 1)
	detail = strings.Replace(detail, "expected value to be one of ", "expected one of ", 1)
	switch {
	case strings.HasPrefix(detail, "invalid date/time"):
		detail = "expected a time such as 2026-12-01T12:00:00Z"
	case detail == "invalid integer":
		detail = "expected a whole number"
	}
	if d.Value != nil && strings.HasPrefix(detail, "expected ") {
		detail = fmt.Sprintf("found %q; %s", clip(fmt.Sprint(d.Value)), detail)
	}
	return Fault{Path: d.Location, Code: "invalid", Detail: detail}
}

// problemOf makes a problem of any error of a handler. What is nobody's input
// is logged and told without its inside.
func (g *Gateway) problemOf(ctx context.Context, operation string, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if ctx.Err() != nil || isOutage(err) {
		g.Logger.Warn("request not served", "operation", operation, "err", err)
		return unavailable("a part of Drawdown does not answer; try again")
	}
	g.Logger.Error("request failed", "operation", operation, "err", err)
	return newProblem(http.StatusInternalServerError, "the gateway could not answer; its log says why")
}

// isOutage reports whether err says that NATS or one of its streams is not
// there now, rather than that something is wrong with the request.
func isOutage(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code >= http.StatusInternalServerError
	}
	for _, outage := range []error{
		context.DeadlineExceeded, context.Canceled,
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
		nats.ErrConnectionDraining, nats.ErrReconnectBufExceeded, nats.ErrStaleConnection, nats.ErrNoServers,
		jetstream.ErrNoStreamResponse, jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound, jetstream.ErrJetStreamNotEnabled,
		jetstream.ErrNoHeartbeat,
	} {
		if errors.Is(err, outage) {
			return true
		}
	}
	return false
}
