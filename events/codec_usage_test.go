package events_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// document returns a structured event whose members are replaced by those
// given as name, JSON; an empty JSON leaves the member out.
func document(replaced ...string) []byte {
	members := [][2]string{
		{"specversion", `"1.0"`}, {"id", `"1"`}, {"source", `"/s"`}, {"type", `"drawdown.usage.v1"`},
		{"subject", `"a1"`}, {"time", `"2026-12-01T00:00:00Z"`}, {"data", `{"operation":"GET /"}`},
	}
	for i := 0; i < len(replaced); i += 2 {
		found := false
		for j := range members {
			if members[j][0] == replaced[i] {
				members[j][1], found = replaced[i+1], true
			}
		}
		if !found {
			members = append(members, [2]string{replaced[i], replaced[i+1]})
		}
	}
	var parts []string
	for _, m := range members {
		if m[1] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", m[0], m[1]))
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func data(members string) []byte { return document("data", `{"operation":"GET /",`+members+`}`) }

func TestDecodeEventRefuses(t *testing.T) {
	code := func(c, path string) [2]string { return [2]string{c, path} }
	tests := map[string]struct {
		body []byte
		want [2]string
	}{
		"what is not JSON":                       {[]byte("hello"), code(events.CodeMalformed, "")},
		"nothing":                                {nil, code(events.CodeMalformed, "")},
		"a JSON array":                           {[]byte("[]"), code(events.CodeMalformed, "")},
		"an event cut short":                     {document()[:40], code(events.CodeMalformed, "")},
		"something behind the event":             {append(document(), " x"...), code(events.CodeMalformed, "")},
		"a second event behind the event":        {append(document(), document()...), code(events.CodeMalformed, "")},
		"a duplicate attribute":                  {append(document()[:len(document())-1], `,"id":"2"}`...), code(events.CodeMalformed, "/id")},
		"a duplicate attribute, written escaped": {append(document()[:len(document())-1], `,"\u0069d":"2"}`...), code(events.CodeMalformed, "/id")},
		"a duplicate quantity":                   {data(`"quantities":{"a":1,"a":2}`), code(events.CodeMalformed, "/data/quantities/a")},
		"invalid UTF-8":                          {document("id", "\"\xff\""), code(events.CodeMalformed, "/id")},
		"half a surrogate pair":                  {document("id", `"\ud800"`), code(events.CodeMalformed, "/id")},
		"an event without specversion":           {document("specversion", ""), code(events.CodeMissing, "/specversion")},
		"another specversion":                    {document("specversion", `"0.3"`), code(events.CodeInvalid, "/specversion")},
		"an event without id":                    {document("id", ""), code(events.CodeMissing, "/id")},
		"an empty id":                            {document("id", `""`), code(events.CodeMissing, "/id")},
		"a null id":                              {document("id", `null`), code(events.CodeMissing, "/id")},
		"a number as id":                         {document("id", `7`), code(events.CodeMalformed, "/id")},
		"a control character in the id":          {document("id", `"a\nb"`), code(events.CodeInvalid, "/id")},
		"a noncharacter in the id":               {document("id", "\"\uffff\""), code(events.CodeInvalid, "/id")},
		"an event without source":                {document("source", ""), code(events.CodeMissing, "/source")},
		"a source that is no URI":                {document("source", `"a b"`), code(events.CodeInvalid, "/source")},
		"a source with a broken scheme":          {document("source", `"1a:b"`), code(events.CodeInvalid, "/source")},
		"a source with a broken escape":          {document("source", `"/a%2"`), code(events.CodeInvalid, "/source")},
		"an event without type":                  {document("type", ""), code(events.CodeMissing, "/type")},
		"another type":                           {document("type", `"com.acme.call"`, "data", "7"), code(events.CodeUnknownType, "/type")},
		"an event without subject":               {document("subject", ""), code(events.CodeMissing, "/subject")},
		"an account that is no token":            {document("subject", `"a.b"`), code(events.CodeInvalid, "/subject")},
		"an event without time":                  {document("time", ""), code(events.CodeMissing, "/time")},
		"a time in words":                        {document("time", `"yesterday"`), code(events.CodeInvalid, "/time")},
		"a time with a decimal comma":            {document("time", `"2026-12-01T00:00:00,5Z"`), code(events.CodeInvalid, "/time")},
		"an hour of one digit":                   {document("time", `"2026-12-01T0:00:00Z"`), code(events.CodeInvalid, "/time")},
		"an offset of a day":                     {document("time", `"2026-12-01T00:00:00+24:00"`), code(events.CodeInvalid, "/time")},
		"an offset of 60 minutes":                {document("time", `"2026-12-01T00:00:00+00:60"`), code(events.CodeInvalid, "/time")},
		"a time without zone":                    {document("time", `"2026-12-01T00:00:00"`), code(events.CodeInvalid, "/time")},
		"a time before 1970":                     {document("time", `"1969-12-31T23:59:59Z"`), code(events.CodeInvalid, "/time")},
		"a time after 9999 in UTC":               {document("time", `"9999-12-31T23:59:59-01:00"`), code(events.CodeInvalid, "/time")},
		"another content type of the data":       {document("datacontenttype", `"text/xml"`), code(events.CodeInvalid, "/datacontenttype")},
		"another charset of the data":            {document("datacontenttype", `"application/json; charset=latin1"`), code(events.CodeInvalid, "/datacontenttype")},
		"a backfill in words":                    {document("drawdownbackfill", `"yesterday"`), code(events.CodeInvalid, "/drawdownbackfill")},
		"a number as backfill":                   {document("drawdownbackfill", `7`), code(events.CodeMalformed, "/drawdownbackfill")},
		"a backfill before 1970":                 {document("drawdownbackfill", `"1969-12-31T23:59:59Z"`), code(events.CodeInvalid, "/drawdownbackfill")},
		"an attribute with capitals":             {document("traceParent", `"x"`), code(events.CodeInvalid, "/traceParent")},
		"an object as attribute":                 {document("ext", `{}`), code(events.CodeMalformed, "/ext")},
		"an event without data":                  {document("data", ""), code(events.CodeMissing, "/data")},
		"null as data":                           {document("data", "null"), code(events.CodeMissing, "/data")},
		"text as data":                           {document("data", `"{}"`), code(events.CodeMalformed, "/data")},
		"both data and data_base64":              {document("data_base64", `"e30="`), code(events.CodeMalformed, "/data_base64")},
		"data_base64 that is no base64":          {document("data", "", "data_base64", `"!"`), code(events.CodeMalformed, "/data_base64")},
		"data_base64 that is no JSON":            {document("data", "", "data_base64", `"aGVsbG8="`), code(events.CodeMalformed, "/data_base64")},
		"an empty operation":                     {document("data", `{"operation":""}`), code(events.CodeMissing, "/data/operation")},
		"a number as operation":                  {document("data", `{"operation":1}`), code(events.CodeMalformed, "/data/operation")},
		"a misspelt field of the data":           {data(`"quantites":{"a":1}`), code(events.CodeInvalid, "/data/quantites")},
		"a status of 99":                         {data(`"status":99`), code(events.CodeInvalid, "/data/status")},
		"a status of 600":                        {data(`"status":600`), code(events.CodeInvalid, "/data/status")},
		"a status that is not whole":             {data(`"status":200.5`), code(events.CodeMalformed, "/data/status")},
		"a status as text":                       {data(`"status":"200"`), code(events.CodeMalformed, "/data/status")},
		"a null project":                         {data(`"project":null`), code(events.CodeMalformed, "/data/project")},
		"a control character in the key":         {data(`"key":"\u0000"`), code(events.CodeInvalid, "/data/key")},
		"an array of quantities":                 {data(`"quantities":[1]`), code(events.CodeMalformed, "/data/quantities")},
		"a negative quantity":                    {data(`"quantities":{"a":-1}`), code(events.CodeInvalid, "/data/quantities/a")},
		"NaN as quantity":                        {data(`"quantities":{"a":"NaN"}`), code(events.CodeInvalid, "/data/quantities/a")},
		"a quantity of 10^400":                   {data(`"quantities":{"a":1e400}`), code(events.CodeInvalid, "/data/quantities/a")},
		"a quantity of 30 places":                {data(`"quantities":{"a":0.` + strings.Repeat("1", 30) + `}`), code(events.CodeInvalid, "/data/quantities/a")},
		"a boolean as quantity":                  {data(`"quantities":{"a":true}`), code(events.CodeMalformed, "/data/quantities/a")},
		"a quantity name with a slash":           {data(`"quantities":{"a/b":1}`), code(events.CodeInvalid, "/data/quantities/a~1b")},
		"a quantity name that starts with 1":     {data(`"quantities":{"1a":1}`), code(events.CodeInvalid, "/data/quantities/1a")},
		"an empty attribute name":                {data(`"attributes":{"":"x"}`), code(events.CodeInvalid, "/data/attributes/")},
		"a number as attribute value":            {data(`"attributes":{"a":1}`), code(events.CodeMalformed, "/data/attributes/a")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			item := events.DecodeEvent(test.body)
			if item.Err == nil {
				t.Fatalf("accepted %s as %+v", test.body, item.Usage)
			}
			if got := [2]string{item.Err.Code, item.Err.Path}; got != test.want {
				t.Errorf("%s: code and path %q, want %q (%v)", test.body, got, test.want, item.Err)
			}
			if len(item.Err.Also) > 0 {
				t.Errorf("also found %+v", item.Err.Also)
			}
		})
	}
}

func TestDecodeEventAccepts(t *testing.T) {
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	plain := events.Usage{Source: "/s", ID: "1", Account: "a1", Time: at, Data: events.UsageData{Operation: "GET /"}}
	with := func(change func(*events.Usage)) events.Usage {
		u := plain
		change(&u)
		return u
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"operation":"GET /"}`))
	tests := map[string]struct {
		body []byte
		want events.Usage
	}{
		"the least there may be":          {document(), plain},
		"space around everything":         {[]byte(" \t\r\n" + strings.NewReplacer(":\"", " : \"", ",", " ,\n").Replace(string(document())) + " \n"), plain},
		"extension attributes":            {document("traceparent", `"00-ab"`, "sampled", "true", "shard", "3", "none", "null"), plain},
		"data as base64":                  {document("data", "", "data_base64", `"`+encoded+`"`), plain},
		"data as base64 beside null data": {document("data", "null", "data_base64", `"`+encoded+`"`), plain},
		"the content type with a charset": {document("datacontenttype", `"application/json; charset=utf-8"`), plain},
		"a content type that ends +json":  {document("datacontenttype", `"application/vnd.acme+json"`), plain},
		"a time with an offset":           {document("time", `"2026-12-01T05:30:00+05:30"`), plain},
		"a backfill": {document("drawdownbackfill", `"2026-12-02T02:00:00+02:00"`), with(func(u *events.Usage) {
			u.Backfill = at.Add(24 * time.Hour)
		})},
		"no backfill":               {document("drawdownbackfill", `null`), plain},
		"an empty backfill":         {document("drawdownbackfill", `""`), plain},
		"the first instant of 1970": {document("time", `"1970-01-01T00:00:00Z"`), with(func(u *events.Usage) { u.Time = time.Unix(0, 0).UTC() })},
		"the last of 9999": {document("time", `"9999-12-31T23:59:59.999999999Z"`), with(func(u *events.Usage) {
			u.Time = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		})},
		"escapes":                {document("id", `"\u00e9\/\"\ud83d\ude00"`), with(func(u *events.Usage) { u.ID = `é/"😀` })},
		"a source that is a URI": {document("source", `"https://[::1]:80/a%20b?c#d"`), with(func(u *events.Usage) { u.Source = "https://[::1]:80/a%20b?c#d" })},
		"quantities as number and text": {data(`"quantities":{"a":1.50,"b":"0.000000000001","c":1e3,"d":"0"}`), with(func(u *events.Usage) {
			u.Data.Quantities = map[string]events.Quantity{"a": events.MustQuantity("1.5"), "b": events.MustQuantity("0.000000000001"),
				"c": events.MustQuantity("1000"), "d": events.MustQuantity("0")}
		})},
		"a number that no float holds": {data(`"quantities":{"a":123456789012345678}`), with(func(u *events.Usage) {
			u.Data.Quantities = map[string]events.Quantity{"a": events.WholeQuantity(123456789012345678)}
		})},
		"a status of 100": {data(`"status":100`), with(func(u *events.Usage) { u.Data.Status = 100 })},
		"a status of 599": {data(`"status":599`), with(func(u *events.Usage) { u.Data.Status = 599 })},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			compare(t, events.Item{Usage: test.want, Raw: test.body}, events.DecodeEvent(test.body))
		})
	}
}

func TestEveryFaultOfAnEventIsNamed(t *testing.T) {
	body := document("id", `""`, "subject", `"a b"`, "time", `"now"`, "data", `{"status":7,"quantites":1,"quantities":{"a":-1}}`)
	item := events.DecodeEvent(body)
	if item.Err == nil {
		t.Fatal("accepted")
	}
	var paths []string
	for _, p := range append([]events.Problem{*item.Err}, item.Err.Also...) {
		paths = append(paths, p.Path)
	}
	compare(t, []string{"/time", "/data/quantites", "/data/quantities/a", "/id", "/subject", "/data/operation", "/data/status"}, paths)
}

func TestLimitsHoldAtTheBoundAndOnePastIt(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	many := func(n int, value string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"n%d":%s`, i, value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	tests := map[string]struct {
		body func(int) []byte
		max  int
		code string
	}{
		"id":              {func(n int) []byte { return document("id", `"`+text(n)+`"`) }, events.MaxIDBytes, events.CodeInvalid},
		"source":          {func(n int) []byte { return document("source", `"`+text(n)+`"`) }, events.MaxSourceBytes, events.CodeInvalid},
		"account":         {func(n int) []byte { return document("subject", `"`+text(n)+`"`) }, 64, events.CodeInvalid},
		"operation":       {func(n int) []byte { return document("data", `{"operation":"`+text(n)+`"}`) }, events.MaxStringBytes, events.CodeInvalid},
		"project":         {func(n int) []byte { return data(`"project":"` + text(n) + `"`) }, events.MaxStringBytes, events.CodeInvalid},
		"key":             {func(n int) []byte { return data(`"key":"` + text(n) + `"`) }, events.MaxStringBytes, events.CodeInvalid},
		"attribute value": {func(n int) []byte { return data(`"attributes":{"a":"` + text(n) + `"}`) }, events.MaxStringBytes, events.CodeInvalid},
		"attribute name":  {func(n int) []byte { return data(`"attributes":{"` + text(n) + `":""}`) }, events.MaxNameBytes, events.CodeInvalid},
		"quantity name":   {func(n int) []byte { return data(`"quantities":{"` + text(n) + `":1}`) }, events.MaxNameBytes, events.CodeInvalid},
		"quantities":      {func(n int) []byte { return data(`"quantities":` + many(n, "1")) }, events.MaxQuantities, events.CodeInvalid},
		"attributes":      {func(n int) []byte { return data(`"attributes":` + many(n, `"x"`)) }, events.MaxAttributes, events.CodeInvalid},
		"extension name":  {func(n int) []byte { return document(text(n), `"x"`) }, events.MaxNameBytes, events.CodeInvalid},
		"event":           {func(n int) []byte { return append(document(), strings.Repeat(" ", n-len(document()))...) }, events.MaxEventBytes, events.CodeTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if item := events.DecodeEvent(test.body(test.max)); item.Err != nil {
				t.Errorf("at the bound of %d: %v", test.max, item.Err)
			}
			item := events.DecodeEvent(test.body(test.max + 1))
			if item.Err == nil || item.Err.Code != test.code || len(item.Err.Also) > 0 {
				t.Errorf("one past the bound of %d: %+v, want %s alone", test.max, item.Err, test.code)
			}
		})
	}
}

func TestBatchLimitsHoldAtTheBoundAndOnePastIt(t *testing.T) {
	batch := func(n int) []byte { return []byte("[" + strings.Repeat("{},", n-1) + "{}]") }
	if items, problem := events.DecodeBatch(batch(events.MaxBatchEvents)); problem != nil || len(items) != events.MaxBatchEvents {
		t.Errorf("at the bound: %d items, %v", len(items), problem)
	}
	if _, problem := events.DecodeBatch(batch(events.MaxBatchEvents + 1)); problem == nil || problem.Code != events.CodeTooLarge {
		t.Errorf("one event past the bound: %v", problem)
	}
	padded := append(batch(1), strings.Repeat(" ", events.MaxBatchBytes-4)...)
	if _, problem := events.DecodeBatch(padded); problem != nil {
		t.Errorf("at the bound of bytes: %v", problem)
	}
	if _, problem := events.DecodeBatch(append(padded, ' ')); problem == nil || problem.Code != events.CodeTooLarge {
		t.Errorf("one byte past the bound: %v", problem)
	}
	if _, err := events.EncodeBatch(calls(events.MaxBatchEvents + 1)); err == nil {
		t.Error("encoded one event more than a batch may hold")
	}
	if _, err := events.EncodeBatch(calls(3000)); err == nil {
		t.Error("encoded more bytes than a batch may hold")
	}
}

func TestAnEventThatWouldBeTooLargeIsNotEncoded(t *testing.T) {
	u := call()
	u.Data.Attributes = map[string]string{}
	for i := range events.MaxAttributes {
		u.Data.Attributes[fmt.Sprintf("n%02d", i)] = strings.Repeat(`"`, events.MaxStringBytes)
	}
	var problem *events.Problem
	if b, err := events.AppendStructured([]byte("before"), u); !errors.As(err, &problem) || problem.Code != events.CodeTooLarge || string(b) != "before" {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	delete(u.Data.Attributes, "n00")
	delete(u.Data.Attributes, "n01")
	body, err := events.AppendStructured(nil, u)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, events.Item{Usage: u, Raw: body}, events.DecodeEvent(body))
}

func TestAFaultInABatchStaysWithItsEvent(t *testing.T) {
	good := string(document())
	for name, bad := range map[string]string{
		"a duplicate name":        `{"id":"1","id":"2"}`,
		"what is not an object":   `7`,
		"nothing":                 ``,
		"brackets that cross":     `{"a":[}]`,
		"two values in one place": `{} {}`,
		"a broken escape":         `{"a":"\x"}`,
		"brackets in its text":    `{"id":"]}\"[{"}`,
	} {
		t.Run(name, func(t *testing.T) {
			items, problem := events.DecodeBatch([]byte(" [" + good + ", " + bad + " ," + good + "]\n"))
			if problem != nil || len(items) != 3 {
				t.Fatalf("%d items, %v", len(items), problem)
			}
			if items[0].Err != nil || items[1].Err == nil || items[2].Err != nil {
				t.Errorf("errors %v, %v, %v", items[0].Err, items[1].Err, items[2].Err)
			}
			compare(t, []string{good, bad, good}, []string{string(items[0].Raw), string(items[1].Raw), string(items[2].Raw)})
		})
	}
}

func TestDecodeBatchRefusesAsAWhole(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                       "",
		"one event":                     string(document()),
		"an empty batch":                "[ ]",
		"an array that does not end":    "[{}",
		"a text that does not end":      `[{"a`,
		"an array closed by a brace":    "[{}}",
		"something behind the array":    "[{}] {}",
		"a bracket too many":            "[{}]]",
		"a backslash at the very end":   `["\`,
		"an array in front of an array": "[][]",
	} {
		if items, problem := events.DecodeBatch([]byte(body)); problem == nil || items != nil {
			t.Errorf("%s: %d items", name, len(items))
		}
	}
}

func TestCheckTime(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	u := events.Usage{Time: now.Add(time.Minute)}
	if p := events.CheckTime(u, now, time.Minute); p != nil {
		t.Errorf("at the bound: %v", p)
	}
	u.Time = u.Time.Add(1)
	if p := events.CheckTime(u, now, time.Minute); p == nil || p.Code != events.CodeFuture {
		t.Errorf("one past it: %v", p)
	}
}

func TestCheckAge(t *testing.T) {
	const horizon, maxAhead = time.Hour, time.Minute
	stored := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	old := stored.Add(-horizon - 1)
	for name, tc := range map[string]struct {
		time, backfill time.Time
		path           string // of the problem, none when empty
	}{
		"at the bound":                                     {time: stored.Add(-horizon)},
		"one past it":                                      {time: old, path: "/time"},
		"in the future":                                    {time: stored.Add(horizon)},
		"a backfill":                                       {time: old, backfill: stored.Add(-1)},
		"a backfill of an event that is not old":           {time: stored, backfill: old},
		"a backfill whose check is at the bound":           {time: old, backfill: stored.Add(-horizon)},
		"a backfill whose check is one past it":            {time: old, backfill: old, path: "/drawdownbackfill"},
		"a backfill checked as far ahead as clocks are":    {time: old, backfill: stored.Add(maxAhead)},
		"a backfill that claims a check still to come":     {time: old, backfill: stored.Add(maxAhead + 1), path: "/drawdownbackfill"},
		"a backfill of an event from before all reckoning": {time: time.Unix(0, 0), backfill: stored},
	} {
		p := events.CheckAge(events.Usage{Time: tc.time, Backfill: tc.backfill}, stored, horizon, maxAhead)
		switch {
		case tc.path == "" && p != nil:
			t.Errorf("%s: %v", name, p)
		case tc.path != "" && (p == nil || p.Code != events.CodeTooLate || p.Path != tc.path):
			t.Errorf("%s: %+v, want %s at %s", name, p, events.CodeTooLate, tc.path)
		}
	}
}
