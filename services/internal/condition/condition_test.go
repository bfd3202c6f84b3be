package condition_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

func usage() *events.Usage {
	return &events.Usage{
		Source: "/s", ID: "1", Account: "acme", Time: time.Date(2026, 12, 1, 23, 30, 0, 0, time.FixedZone("", 3600)),
		Data: events.UsageData{
			Operation: "POST /v1/chat", Status: 200, Project: "web", Key: "key_7f3",
			Quantities: map[string]events.Quantity{"pages": events.MustQuantity("12.5"), "tokens": {}},
			Attributes: map[string]string{"render": "js", "empty": "", "a-b": "c"},
		},
	}
}

func TestAConditionHoldsOrNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		when string
		want bool
	}{
		"an attribute has a value":                     {`attributes["render"] == "js"`, true},
		"an attribute has another value":               {`attributes["render"] == "no"`, false},
		"an attribute is selected by its name":         {`attributes.render == "js"`, true},
		"an absent attribute reads as nothing":         {`attributes["proxy"] == "" && attributes.proxy == ""`, true},
		"an absent attribute is not in the attributes": {`!("proxy" in attributes) && !has(attributes.proxy)`, true},
		"an empty attribute is in the attributes":      {`"empty" in attributes && has(attributes.empty)`, true},
		"an attribute is named by another variable":    {`attributes[project] == ""`, true},
		"a quantity is more than a number":             {`quantities["pages"] > 10.0`, true},
		"a quantity is compared with a whole number":   {`quantities["pages"] > 10 && quantities.pages < 13`, true},
		"an absent quantity reads as 0":                {`quantities["bytes"] == 0.0`, true},
		"absent requests read as 1":                    {`quantities["requests"] == 1.0 && !("requests" in quantities)`, true},
		"a quantity of 0 is there":                     {`has(quantities.tokens) && quantities.tokens == 0.0`, true},
		"quantities are counted":                       {`size(quantities) == 2 && attributes.size() == 3`, true},
		"names are visited in their order":             {`attributes.map(k, k)[0] == "a-b" && quantities.map(k, k) == ["pages", "tokens"]`, true},
		"each attribute is looked at":                  {`attributes.exists(k, attributes[k] == "c") && !attributes.all(k, attributes[k] == "c")`, true},
		"the operation is matched":                     {`operation.startsWith("POST ") && operation.matches("^POST /v[0-9]+/")`, true},
		"a status is a whole number":                   {`status >= 200 && status < 300`, true},
		"project, key, account and plan are texts":     {`project == "web" && key == "key_7f3" && account == "acme" && plan == "pro"`, true},
		"hours are those of UTC":                       {`time.getHours() == 22 && time < timestamp("2026-12-02T00:00:00Z")`, true},
		"hours of another zone are told":               {`time.getHours("Europe/Berlin") == 23 && time.getHours("+05:30") == 4`, true},
		"all of a time is told in a zone": {`time.getFullYear("Asia/Tokyo") == 2026 && time.getMonth("Asia/Tokyo") == 11 && time.getDayOfYear("Asia/Tokyo") == 335 &&
			time.getDayOfMonth("Asia/Tokyo") == 1 && time.getDate("Asia/Tokyo") == 2 && time.getDayOfWeek("Asia/Tokyo") == 3 &&
			time.getMinutes("Asia/Kolkata") == 0 && time.getSeconds("Asia/Tokyo") == 0 && time.getMilliseconds("Asia/Tokyo") == 0`, true},
		"a zone is an event's":                                 {`time.getHours(attributes["empty"]) == 22 && time.getHours({"web": "Asia/Tokyo"}[project]) == 7`, true},
		"constants are worked out":                             {`time > timestamp("2026-11-30T23:00:00Z") + duration("1h") && status == 2 * 100 && size("abc") == 3 && quantities.pages / 0.0 > 1.0`, true},
		"a condition may be long":                              {"status == 1 " + strings.Repeat("|| status == 1 ", 30) + "|| status == 200", true},
		"what fails does not matter where the answer is known": {`status == 200 || 1 / (status - 200) > 0`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := condition.Compile(tc.when)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Holds(&condition.Input{Usage: usage(), Plan: "pro"})
			if err != nil || got != tc.want {
				t.Errorf("%s: %v, %v", tc.when, got, err)
			}
		})
	}
}

func TestWhatFailsForAnEventIsNeitherTrueNorFalse(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]string{
		`1 / (status - 200) > 0`:        "division by zero",
		`time.getHours(project) > 3`:    `unknown time zone "web"`,
		`int(attributes["render"]) > 3`: "type conversion error",
		`[1, 2][status] == 1`:           "index out of bounds",
		`timestamp(key) > time`:         "key_7f3",
		`{"a": true}[project]`:          "no such key: web",
	} {
		c, err := condition.Compile(when)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Holds(&condition.Input{Usage: usage(), Plan: "pro"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error about %s", when, got, err, want)
		}
	}
}

func TestCompileRefusesWithTheColumn(t *testing.T) {
	t.Parallel()
	nested := "attributes.all(a, attributes.all(b, attributes.all(c, attributes.all(d, a + b + c + d != \"\"))))"
	for name, tc := range map[string]struct {
		when         string
		line, column int
		detail       string
	}{
		"nothing":                       {"  ", 1, 1, "found nothing; expected a condition in CEL"},
		"half an expression":            {`status ==`, 1, 10, "found Syntax error"},
		"an unknown variable":           {`status == 200 && foo == 1`, 1, 18, `found undeclared reference to 'foo'; expected the variables operation, status`},
		"the second line":               {"status == 200 &&\n  foo == 1", 2, 3, "undeclared reference to 'foo'"},
		"an unknown function":           {`status.foo() == 1`, 1, 11, "undeclared reference to 'foo'"},
		"a text against a number":       {`status == "200"`, 1, 8, "found no matching overload for '_==_' applied to '(int, string)'"},
		"a number":                      {`status + 1`, 1, 1, "found an expression of type int; expected a condition in CEL that is true or false"},
		"a text":                        {`plan`, 1, 1, "found an expression of type string"},
		"a value of any type":           {`dyn(true)`, 1, 1, "found an expression of type dyn"},
		"attributes compared as whole":  {`status == 1 || attributes == {"a": "b"}`, 1, 16, `found attributes as a whole; expected one value of it, such as attributes["name"]`},
		"quantities in a list":          {`[quantities].size() == 1`, 1, 2, "found quantities as a whole"},
		"attributes by another name":    {`[attributes].exists(a, a["x"] == "")`, 1, 2, "found attributes as a whole"},
		"a chosen map":                  {`(status == 1 ? attributes : attributes)["a"] == ""`, 1, 16, "found attributes as a whole"},
		"a loop in a loop in a loop":    {nested, 1, 1, "found a condition that may cost"},
		"a pattern from the event":      {`operation.matches(attributes["render"])`, 1, 1, "found a condition that may cost"},
		"a pattern that is none":        {`operation.matches("(")`, 1, 1, "missing closing"},
		"too long a condition":          {`"` + strings.Repeat("x", condition.MaxBytes) + `" == ""`, 1, 1, "expected at most 4096"},
		"a zone that is none":           {`status == 200 && time.getHours("Europe/Berln") < 6`, 1, 32, `unknown time zone "Europe/Berln"`},
		"the machine's zone":            {`time.getDate("Local") == 1`, 1, 14, `unknown time zone "Local"`},
		"an offset that is none":        {`time.getHours("+25:00") < 6`, 1, 15, "timezone offset hours out of range"},
		"a division of nothing known":   {`status / 0 == 1`, 1, 8, "found what fails for every event: division by zero; expected what has a value"},
		"a rest of nothing known":       {"status == 1 ||\n dyn(status) % (2 - 2) == 1", 2, 14, "division by zero"},
		"a division of a constant":      {`status == 200 || 1/0 == 1`, 1, 19, "division by zero"},
		"a time that is none":           {`time < timestamp("tomorrow")`, 1, 17, "tomorrow"},
		"a constant in a loop":          {`[1, 2].exists(i, i / 0 == 1)`, 1, 20, "division by zero"},
		"deeper than anyone can read":   {strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60), 1, 1, "found"},
		"more conditions than anything": {"true" + strings.Repeat("||status==1", 350), 1, 1, "found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := condition.Compile(tc.when)
			var refused *condition.Error
			if !errors.As(err, &refused) || !errors.Is(err, events.ErrInvalid) {
				t.Fatalf("got %v, want an Error", err)
			}
			if refused.Line != tc.line || refused.Column != tc.column || !strings.Contains(refused.Detail, tc.detail) {
				t.Errorf("got %v; want line %d, column %d: %s", err, tc.line, tc.column, tc.detail)
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, when := range []string{`attributes["render"] == "js" && quantities["pages"] > 10.0`, `time.getHours("Europe/Berlin") < 7 || has(attributes.a)`,
		`attributes.exists(k, attributes[k].matches("^a+$"))`, `[1,2].map(x, x * status).filter(x, x > 3).size() > 0`, `"\u00e9" + r"\n" == b"x"`, `{"a": [1.5e3, 2u]}.a[0] > 1`} {
		f.Add(when, "js", "12.5")
	}
	f.Fuzz(func(t *testing.T, when, attribute, quantity string) {
		c, err := condition.Compile(when)
		if err != nil {
			if !errors.Is(err, events.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			return
		}
		u := usage()
		u.Data.Attributes["render"] = attribute
		if q, err := events.ParseQuantity(quantity); err == nil {
			u.Data.Quantities["pages"] = q
		}
		first, firstErr := c.Holds(&condition.Input{Usage: u})
		again, againErr := c.Holds(&condition.Input{Usage: u})
		if first != again || (firstErr == nil) != (againErr == nil) {
			t.Fatalf("%q: %v, %v, then %v, %v", when, first, firstErr, again, againErr)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	for _, when := range []string{`status == 200`, `attributes["render"] == "js"`, `attributes["render"] == "js" && quantities["pages"] > 10.0`, `time.getHours() < 7`, `time.getHours("Europe/Berlin") < 7`} {
		b.Run(when, func(b *testing.B) {
			c, err := condition.Compile(when)
			if err != nil {
				b.Fatal(err)
			}
			u := usage()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Holds(&condition.Input{Usage: u, Plan: "pro"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := condition.Compile(`attributes["render"] == "js" && quantities["pages"] > 10.0`); err != nil {
			b.Fatal(err)
		}
	}
}
