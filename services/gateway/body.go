package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/drawdown-credits/drawdown/events"
)

// decodeJSON reads a request body strictly: no unknown fields, no duplicate
// names, nothing behind it, and every field that may not be omitted.
func decodeJSON[T any](contentType string, body []byte) (T, error) {
	var to T
	if err := checkType(contentType, "application/json"); err != nil {
		return to, err
	}
	err := jsonv2.Unmarshal(body, &to, jsonv2.RejectUnknownMembers(true), jsonv2.WithUnmarshalers(writtenDurations))
	var semantic *jsonv2.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case err == nil:
		if faults := missing(reflect.TypeFor[T](), body); len(faults) > 0 {
			return to, invalid("the body is not valid", faults...)
		}
		return to, nil
	case errors.As(err, &semantic):
		return to, invalid("the body is not valid", Fault{
			Path: string(semantic.JSONPointer), Code: "invalid", Detail: semanticDetail(semantic, body),
		})
	}
	p := newProblem(http.StatusBadRequest, "the body is not JSON: %s", clip(err.Error()))
	if errors.As(err, &syntactic) {
		p.Errors = []Fault{{Path: string(syntactic.JSONPointer), Code: "malformed", Detail: clip(syntactic.Err.Error())}}
	}
	return to, p
}

// missing lists the fields of t that body, a JSON object, has to have and has
// not.
func missing(t reflect.Type, body []byte) (faults []Fault) {
	var given map[string]jsontext.Value
	if t.Kind() != reflect.Struct || jsonv2.Unmarshal(body, &given) != nil {
		return nil
	}
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := given[name]; !ok && !field.Anonymous && options == "" {
			faults = append(faults, Fault{Path: "/" + name, Code: events.CodeMissing, Detail: "absent; expected " + formOf(field.Type)})
		}
	}
	return faults
}

// writtenDurations refuses a duration of 0 that is written out: an absent one
// means the default, which nobody who writes 0s asks for.
var writtenDurations = jsonv2.UnmarshalFunc(func(value []byte, d *events.Duration) error {
	var text string
	if err := jsonv2.Unmarshal(value, &text); err != nil {
		return errDuration
	}
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	if *d == 0 {
		return errDuration
	}
	return nil
})

var errDuration = errors.New(`expected a duration above 0 as a string, such as "90s", "10m" or "1h30m"`)

func semanticDetail(e *jsonv2.SemanticError, body []byte) string {
	switch {
	case errors.Is(e.Err, jsonv2.ErrUnknownName):
		return fmt.Sprintf("unknown field %q", clip(e.JSONPointer.LastToken()))
	case errors.Is(e.Err, events.ErrInvalid), errors.Is(e.Err, events.ErrOverflow), errors.Is(e.Err, errDuration):
		return e.Err.Error()
	}
	return fmt.Sprintf("found %s; expected %s", clip(string(valueAt(body, e.JSONPointer))), formOf(e.GoType))
}

// valueAt returns the value at a pointer into body, or the one around it that
// is no object.
func valueAt(body jsontext.Value, at jsontext.Pointer) jsontext.Value {
	for name := range at.Tokens() {
		var object map[string]jsontext.Value
		if jsonv2.Unmarshal(body, &object) != nil {
			break
		}
		body = object[name]
	}
	return body
}

// formOf says how a field of type t is written in JSON.
func formOf(t reflect.Type) string {
	switch t {
	case nil:
		return "something else"
	case reflect.TypeFor[time.Time]():
		return `a time such as "2026-12-01T12:00:00Z"`
	case reflect.TypeFor[events.Credits]():
		return `credits as a string such as "12.5"`
	case reflect.TypeFor[events.Quantity]():
		return `a quantity such as "12.5"`
	case reflect.TypeFor[jsontext.Value]():
		return "an object"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint8:
		return "a whole number from 0 to 255"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Pointer:
		return formOf(t.Elem())
	}
	return "an object"
}
