package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// binary returns the headers of a binary event, changed by name, value; an
// empty value leaves a header out.
func binary(changed ...string) map[string][]string {
	header := map[string][]string{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"drawdown.usage.v1"},
		"ce-subject": {"a1"}, "ce-time": {"2026-12-01T00:00:00Z"},
	}
	for i := 0; i < len(changed); i += 2 {
		if header[changed[i]] = []string{changed[i+1]}; changed[i+1] == "" {
			delete(header, changed[i])
		}
	}
	return header
}

const body = `{"operation":"GET /"}`

func TestBinaryAttributesAreDecoded(t *testing.T) {
	tests := map[string]struct{ value, id string }{
		"as they are":                  {"01J9ZK", "01J9ZK"},
		"from percent signs":           {"Euro%20%E2%82%AC%20%f0%9f%98%80", "Euro € 😀"},
		"once":                         {"100%2525", "100%25"},
		"where encoding was needless":  {"%41%42", "AB"},
		"from a quoted string":         {`"a \"b\" \\c"`, `a "b" \c`},
		"from UTF-8 as the SDK writes": {"Euro €", "Euro €"},
		"with a plus, which stays":     {"a+b", "a+b"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			item := events.DecodeBinary(binary("ce-id", test.value), []byte(body))
			if item.Err != nil || item.Usage.ID != test.id {
				t.Errorf("id %q, %v; want %q", item.Usage.ID, item.Err, test.id)
			}
		})
	}
}

func TestBinaryAttributesAreEncoded(t *testing.T) {
	u := call()
	u.ID = "100% \"Euro €\" 😀~!"
	header, body, err := events.EncodeBinary(u)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, []string{"100%25%20%22Euro%20%E2%82%AC%22%20%F0%9F%98%80~!"}, header["ce-id"])
	compare(t, events.Item{Usage: u, Raw: body}, events.DecodeBinary(header, body))
}

func TestHeaderNamesCountWhateverTheirCase(t *testing.T) {
	header := map[string][]string{}
	for name, values := range binary() {
		header["Ce-"+strings.ToUpper(name[3:])] = values
	}
	if item := events.DecodeBinary(header, []byte(body)); item.Err != nil {
		t.Error(item.Err)
	}
}

func TestDecodeBinaryRefuses(t *testing.T) {
	tests := map[string]struct {
		header map[string][]string
		body   string
		code   string
		path   string
	}{
		"a percent sign that encodes nothing": {binary("ce-id", "50%"), body, events.CodeMalformed, "/id"},
		"an overlong encoding":                {binary("ce-id", "%C0%A0"), body, events.CodeMalformed, "/id"},
		"a quoted string that does not end":   {binary("ce-id", `"a`), body, events.CodeMalformed, "/id"},
		"text behind a quoted string":         {binary("ce-id", `"a"b`), body, events.CodeMalformed, "/id"},
		"an encoded control character":        {binary("ce-id", "a%0Ab"), body, events.CodeInvalid, "/id"},
		"the same attribute twice":            {binary("Ce-Id", "2"), body, events.CodeMalformed, "/id"},
		"two values of one attribute":         {map[string][]string{"ce-id": {"1", "2"}}, body, events.CodeMalformed, "/id"},
		"an event without id":                 {binary("ce-id", ""), body, events.CodeMissing, "/id"},
		"another content type":                {binary("Content-Type", "text/plain"), body, events.CodeInvalid, "/datacontenttype"},
		"another datacontenttype":             {binary("Content-Type", "application/json", "ce-datacontenttype", "text/xml"), body, events.CodeInvalid, "/datacontenttype"},
		"an attribute with an underscore":     {binary("ce-a_b", "1"), body, events.CodeInvalid, "/a_b"},
		"an event without data":               {binary(), "", events.CodeMissing, "/data"},
		"data that is not JSON":               {binary(), "hello", events.CodeMalformed, "/data"},
		"data with a duplicate name":          {binary(), `{"operation":"a","operation":"b"}`, events.CodeMalformed, "/data/operation"},
		"something behind the data":           {binary(), body + body, events.CodeMalformed, "/data"},
		"data past the limit":                 {binary(), body + strings.Repeat(" ", events.MaxEventBytes), events.CodeTooLarge, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			item := events.DecodeBinary(test.header, []byte(test.body))
			if item.Err == nil || item.Err.Code != test.code || item.Err.Path != test.path {
				t.Errorf("%+v; want %s at %s", item.Err, test.code, test.path)
			}
		})
	}
}

func TestDecodeMessageTellsTheModes(t *testing.T) {
	one := string(document())
	contentType := func(value string) map[string][]string { return map[string][]string{"Content-Type": {value}} }
	batch := events.BatchSubject(events.Partition("a1", 16))
	other := events.BatchSubject(events.Partition("a1", 16) + 1)
	tests := map[string]struct {
		subject string
		header  map[string][]string
		body    string
		codes   []string // "" for an event that is accepted
	}{
		"no header is one event":                    {"usage.a1", nil, one, []string{""}},
		"no header on a batch subject is a batch":   {batch, nil, "[" + one + "]", []string{""}},
		"ce- headers are binary":                    {"usage.5.a1", binary("Content-Type", "application/json"), body, []string{""}},
		"a structured content type beats them":      {"usage.a1", binary("Content-Type", "application/cloudevents+json"), one, []string{""}},
		"other headers mean nothing":                {"usage.a1", map[string][]string{"Nats-Msg-Id": {"1"}, "X-Trace": {"a", "b"}}, one, []string{""}},
		"JSON that says neither is refused":         {"usage.a1", contentType("application/json"), one, []string{events.CodeMalformed}},
		"another event format is refused":           {"usage.a1", contentType("application/cloudevents+avro"), one, []string{events.CodeMalformed}},
		"another charset is refused":                {"usage.a1", contentType("application/cloudevents+json; charset=utf-16"), one, []string{events.CodeMalformed}},
		"a batch on an account's subject is not":    {"usage.a1", contentType(events.ContentTypeBatch), "[" + one + "]", []string{events.CodeMalformed}},
		"an event on a batch subject is not":        {batch, contentType(events.ContentTypeEvent), one, []string{events.CodeMalformed}},
		"an event of another account is refused":    {"usage.a2", nil, one, []string{events.CodeAccountMismatch}},
		"a stray in a batch is refused alone":       {other, nil, "[" + one + "," + string(document("subject", `"a1"`, "id", `""`)) + "]", []string{events.CodeStray, events.CodeMissing}},
		"a batch cut short is one refused item":     {batch, nil, "[" + one, []string{events.CodeMalformed}},
		"a subject that is none of ours is refused": {"other.a1", nil, one, []string{events.CodeMalformed}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var codes []string
			for _, item := range events.DecodeMessage(test.subject, test.header, []byte(test.body), 16) {
				code := ""
				if item.Err != nil {
					code = item.Err.Code
				}
				codes = append(codes, code)
			}
			compare(t, test.codes, codes)
		})
	}
}

func TestDeadLettersAreReadBack(t *testing.T) {
	d := events.DeadLetter{
		ID: 9, Reason: events.CodeInvalid, Detail: `/id: found "é"`, Subject: "usage.3.a1", Sequence: 77, Index: 4,
		StoredAt: time.Date(2026, 12, 1, 0, 0, 0, 123456789, time.UTC), Body: []byte{0xff, 0, '{'},
		Header: map[string][]string{
			"ce-id": {"1"}, "Nats-Rollup": {"all"}, "drawdown-reason": {"a", "b"}, "Drawdown-Original-X": {"y"},
			"Status": {"404"}, "status": {"100"}, "Description": {"No Messages"},
		},
	}
	header := events.DeadLetterHeader(d)
	for _, name := range []string{"Nats-Rollup", "Status", "status", "Description"} {
		if _, dangerous := header[name]; dangerous {
			t.Errorf("header %s of the original reaches NATS", name)
		}
	}
	header["Nats-Expected-Last-Subject-Sequence"] = []string{"0"} // of the dead letter itself
	got, err := events.ParseDeadLetter(header, d.Body, 9)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, d, got)
}

func TestParseDeadLetterRefuses(t *testing.T) {
	d := events.DeadLetter{Reason: events.CodeInvalid, Subject: "usage.3.a1", Sequence: 1, StoredAt: time.Unix(0, 0)}
	for name, change := range map[string][2]string{
		"an absent reason":   {events.HeaderReason, ""},
		"a bad sequence":     {events.HeaderSequence, "-1"},
		"a bad index":        {events.HeaderIndex, "x"},
		"a bad stored time":  {events.HeaderStoredAt, "now"},
		"a negative index":   {events.HeaderIndex, "-1"},
		"an absent sequence": {events.HeaderSequence, ""},
	} {
		header := events.DeadLetterHeader(d)
		header[change[0]] = []string{change[1]}
		if _, err := events.ParseDeadLetter(header, nil, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
