package events

import (
	"bytes"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// DecodeEvent decodes one structured CloudEvent.
func DecodeEvent(body []byte) Item {
	if len(body) > MaxEventBytes {
		return Item{Raw: body, Err: tooLarge(len(body))}
	}
	p := newParser(body)
	defer p.free()
	var e envelope
	if err := p.envelope(&e); err != nil {
		return Item{Raw: body, Err: malformed(err, "")}
	}
	return Item{Usage: e.usage, Raw: body, Err: e.problem()}
}

func tooLarge(size int) *Problem {
	return problem(CodeTooLarge, "", "found %d bytes; expected at most %d in one event", size, MaxEventBytes)
}

// envelope is a CloudEvent being decoded: its attributes as text, because they
// are checked the same way in every mode.
type envelope struct {
	specVersion, eventType, contentType, time, backfill string

	usage              Usage
	hasData            bool
	dataBroken         bool // it is not JSON, or not an object
	faults, dataFaults faults
}

// problem checks the whole event, after everything in it has been read.
func (e *envelope) problem() *Problem {
	f := &e.faults
	e.checkFixed(f)
	e.instant(&e.usage.Time, e.time, pathTime)
	e.instant(&e.usage.Backfill, e.backfill, pathBackfill)
	if len(e.faults) == 0 && len(e.dataFaults) == 0 && e.hasData {
		e.usage.check(f)
		return f.problem()
	}
	return e.explain()
}

// instant reads an attribute that is a time; empty means that it is absent.
func (e *envelope) instant(to *time.Time, text, path string) {
	if text == "" {
		return
	}
	var ok bool
	if *to, ok = parseTime(text); !ok {
		e.faults.add(CodeInvalid, path, "found %s; expected RFC 3339, such as 2026-12-01T00:00:00Z", clip(text))
	}
}

// explain lists the faults of an event that has some, without those that only
// follow from others.
func (e *envelope) explain() *Problem {
	f := &e.faults
	if f.at("") {
		return f.problem()
	}
	checked := faults{}
	e.usage.check(&checked)
	skipData := f.at(pathType) || f.at(pathData) || f.at(pathDataBase64)
	if !skipData && !e.hasData {
		f.add(CodeMissing, pathData, "absent; expected a JSON object")
	}
	if !skipData {
		f.addAll(e.dataFaults)
	}
	skipData = skipData || !e.hasData || e.dataBroken || f.at(pathData) || f.at(pathDataBase64)
	for _, p := range checked {
		if !skipData || !strings.HasPrefix(p.Path, pathData) {
			f.addAll(faults{p})
		}
	}
	return f.problem()
}

func (e *envelope) checkFixed(f *faults) {
	switch e.specVersion {
	case "1.0":
	case "":
		f.add(CodeMissing, pathSpecVersion, "absent; expected \"1.0\"")
	default:
		f.add(CodeInvalid, pathSpecVersion, "found %s; expected \"1.0\"", clip(e.specVersion))
	}
	switch e.eventType {
	case TypeUsage:
	case "":
		f.add(CodeMissing, pathType, "absent; expected %q", TypeUsage)
	default:
		f.add(CodeUnknownType, pathType, "found %s; expected %q", clip(e.eventType), TypeUsage)
	}
	if !isJSON(e.contentType) {
		f.add(CodeInvalid, pathDataContentType, "found %s; expected %s in UTF-8", clip(e.contentType), ContentTypeJSON)
	}
}

// parser reads one JSON document strictly: duplicate names, invalid UTF-8 and
// trailing bytes are errors of the document; a value of the wrong type is a
// fault that the reading goes on after.
type parser struct {
	buffer bytes.Buffer
	dec    *jsontext.Decoder
	// known are short texts met before: names and values that most events
	// share are then one string instead of one each.
	known [512]string
	seed  maphash.Seed
}

var parsers = sync.Pool{New: func() any { return &parser{dec: new(jsontext.Decoder), seed: maphash.MakeSeed()} }}

const knownBytesMax = 64

// unquote returns the text of a JSON string that the reader has checked.
func (p *parser) unquote(value jsontext.Value) string {
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		text, _ := jsontext.AppendUnquote(nil, value) // checked by the reader
		return string(text)
	}
	if len(inner) > knownBytesMax {
		return string(inner)
	}
	slot := &p.known[maphash.Bytes(p.seed, inner)%uint64(len(p.known))]
	if *slot != string(inner) {
		*slot = string(inner)
	}
	return *slot
}

func newParser(body []byte) *parser {
	p := parsers.Get().(*parser)
	p.buffer = *bytes.NewBuffer(body)
	p.dec.Reset(&p.buffer)
	return p
}

func (p *parser) free() {
	p.buffer = bytes.Buffer{}
	p.dec.Reset(&p.buffer) // holds no reference to the message
	parsers.Put(p)
}

// envelope reads the whole document. Its error is one of syntax.
func (p *parser) envelope(e *envelope) error {
	if p.dec.PeekKind() != '{' {
		return p.notAnObject(&e.faults, "")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := p.attribute(e, p.unquote(name)); err != nil {
			return err
		}
	}
	return p.end()
}

func (p *parser) attribute(e *envelope, name string) error {
	switch name {
	case "data":
		return p.data(e)
	case "data_base64":
		return p.dataBase64(e)
	}
	to := e.attribute(name)
	if to == nil {
		return p.extension(&e.faults, name)
	}
	return p.text(to, &e.faults, name)
}

// extension reads an attribute that is not ours: it may be there, as CloudEvents
// says, and means nothing.
func (p *parser) extension(f *faults, name string) error {
	if !validExtension(name) {
		f.add(CodeInvalid, "/"+escapePointer(name), "unknown attribute %s; expected CloudEvents attributes: a–z 0–9, at most %d", clip(name), MaxNameBytes)
	}
	value, err := p.dec.ReadValue()
	if err == nil && (value.Kind() == '{' || value.Kind() == '[') {
		f.add(CodeMalformed, "/"+escapePointer(name), "found %s; expected text, a number or a boolean", kindName(value.Kind()))
	}
	return err
}

func validExtension(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= MaxNameBytes
}

// text reads a CloudEvents attribute; null means that it is absent.
func (p *parser) text(to *string, f *faults, name string) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '"':
		*to = p.unquote(value)
	case 'n':
	default:
		f.add(CodeMalformed, "/"+name, "found %s; expected text", found(value))
	}
	return nil
}

func (p *parser) data(e *envelope) error {
	if p.dec.PeekKind() == 'n' {
		_, err := p.dec.ReadToken()
		return err
	}
	if e.hasData {
		e.faults.add(CodeMalformed, pathData, "found both data and data_base64; expected one of them")
	}
	e.hasData = true
	return p.usageData(&e.usage.Data, &e.dataFaults, pathData)
}

// dataBase64 reads data given as base64 of its JSON. A path of a fault goes on
// into that JSON.
func (p *parser) dataBase64(e *envelope) error {
	var encoded string
	if err := p.text(&encoded, &e.faults, "data_base64"); err != nil || encoded == "" {
		return err
	}
	if e.hasData {
		e.faults.add(CodeMalformed, pathDataBase64, "found both data and data_base64; expected one of them")
		return nil
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		e.faults.add(CodeMalformed, pathDataBase64, "found %s; expected base64", clip(encoded))
		return nil // the data is not known, so its faults are not looked for
	}
	e.decodeData(decoded, pathDataBase64)
	return nil
}

// decodeData decodes a document that is the data alone.
func (e *envelope) decodeData(body []byte, path string) {
	p := newParser(body)
	defer p.free()
	e.hasData = true
	err := p.usageData(&e.usage.Data, &e.dataFaults, path)
	if err == nil {
		err = p.atEnd()
	}
	if err != nil {
		e.dataBroken = true
		e.dataFaults = faults{*malformed(err, path)}
	}
}

// end reads the closing brace of the document and finds nothing behind it.
func (p *parser) end() error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	return p.atEnd()
}

func (p *parser) atEnd() error {
	switch _, err := p.dec.ReadToken(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return &Problem{Code: CodeMalformed, Detail: "found more after the JSON value; expected its end"}
}

// notAnObject records that a value should have been an object, unless it is
// not JSON at all.
func (p *parser) notAnObject(f *faults, path string) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	f.add(CodeMalformed, path, "found %s; expected a JSON object", found(value))
	return nil
}

// malformed makes a problem of an error of the JSON reader.
func malformed(err error, path string) *Problem {
	var known *Problem
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &known):
		return &Problem{Code: known.Code, Path: path + known.Path, Detail: known.Detail}
	case errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		return problem(CodeMalformed, path, "the JSON ends too early; expected one complete JSON object")
	case errors.As(err, &syntactic):
		return problem(CodeMalformed, path+string(syntactic.JSONPointer), "%s at byte %d; expected strict JSON in UTF-8 without duplicate names",
			clip(syntactic.Err.Error()), syntactic.ByteOffset)
	}
	return problem(CodeMalformed, path, "%s", clip(err.Error()))
}

// found describes a value of the wrong type for people.
func found(value jsontext.Value) string { return kindName(value.Kind()) + " " + clip(string(value)) }

func kindName(kind jsontext.Kind) string {
	switch kind {
	case '"':
		return "text"
	case '0':
		return "the number"
	case '{':
		return "the object"
	case '[':
		return "the array"
	}
	return "the literal"
}

// timeLayout is how times are written: RFC 3339 in UTC, to the nanosecond.
const timeLayout = time.RFC3339Nano

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime reads RFC 3339 strictly, which time.Parse does not: it also takes a
// decimal comma, an hour of one digit and offsets of a day and more.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || s[10] != 'T' || s[13] != ':' || s[19] == ',' {
		return time.Time{}, false
	}
	if _, offset := t.Zone(); offset <= -24*3600 || offset >= 24*3600 {
		return time.Time{}, false
	}
	if s[len(s)-1] != 'Z' && s[len(s)-2:] > "59" {
		return time.Time{}, false
	}
	return t.UTC(), true
}
