package rating_test

import (
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/rating"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ab", 70) // states beyond one word, and beyond two
	cases := map[string]struct {
		glob       string
		matches    []string
		mismatches []string
	}{
		"text stands for itself":                   {"GET /a", []string{"GET /a"}, []string{"GET /", "GET /ab", "get /a"}},
		"a star stands for any run but /":          {"GET /*", []string{"GET /", "GET /a"}, []string{"GET /a/b", "GET "}},
		"a star between two texts":                 {"GET /*/x", []string{"GET /a/x", "GET //x"}, []string{"GET /a/b/x", "GET /x"}},
		"several stars stop at / each":             {"/a*b*c", []string{"/abc", "/axbxc", "/abbcc"}, []string{"/a/b/c", "/ab/c", "/a/bc", "/acb"}},
		"two stars stand for any run":              {"GET /**", []string{"GET /", "GET /a", "GET /a/b"}, []string{"GET", "POST /a"}},
		"two stars between texts":                  {"/a**z", []string{"/az", "/a/b/z", "/azz"}, []string{"/a/b", "/z"}},
		"one star and two stars together":          {"/*/x/**/y*", []string{"/a/x//y", "/a/x/b/c/yz", "/a/x/y/y"}, []string{"/a/b/x//y", "/a/x/y", "/a/x/b/y/z"}},
		"prefix and suffix do not share bytes":     {"ab*ba", []string{"abba", "ab-ba"}, []string{"aba"}},
		"what else a pattern language would treat": {"a.?[b]*", []string{"a.?[b]", "a.?[b]c"}, []string{"axxb", "a.?b"}},
		"a long run of text between stars":         {"*" + long + "*", []string{long, "x" + long + "y", "a" + long}, []string{long[1:], "x/" + long, long + "/"}},
		"long runs with any run between":           {"**" + long + "**" + long + "**", []string{long + long, "/" + long + "/a/" + long + "/"}, []string{long, long + long[1:]}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			card, err := rating.New(events.RateCard{Card: "c", Rules: []events.Rule{
				{Name: "r", Match: events.Match{Operation: tc.glob}, Price: events.Price{Flat: quantity("1")}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			check := func(operation string, want bool) {
				_, err := card.Rate(events.Usage{Data: events.UsageData{Operation: operation}}, rating.Context{})
				if (err == nil) != want {
					t.Errorf("%q matches %q: %v, want %v", tc.glob, operation, err == nil, want)
				}
			}
			for _, operation := range tc.matches {
				check(operation, true)
			}
			for _, operation := range tc.mismatches {
				check(operation, false)
			}
		})
	}
}
