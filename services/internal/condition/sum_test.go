package condition_test

import (
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

func TestASumIsThatOfAllMatchesAndTheDearestPrice(t *testing.T) {
	t.Parallel()
	const most = condition.SumMax
	type rule struct{ match, price uint64 }
	for name, tc := range map[string]struct {
		rules   []rule
		dearest int
		detail  string // "" within the bound
	}{
		"no rules":                      {},
		"as much as may be":             {rules: []rule{{most, 0}}},
		"matches are added up":          {rules: []rule{{1, 0}, {most - 1, 0}, {1, 0}}, dearest: 1, detail: "may cost 100001 together, of which this rule's 99999; expected at most 100000"},
		"one rule rates":                {rules: []rule{{0, most}, {0, most}}},
		"the dearest price counts":      {rules: []rule{{1, 0}, {0, most}, {0, 7}}, dearest: 1, detail: "may cost 100001 together, of which this rule's 100000"},
		"of equal ones it is the first": {rules: []rule{{2, 0}, {most, 0}, {most, 0}}, dearest: 1, detail: "may cost 200002"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s condition.Sum
			for _, r := range tc.rules {
				s.Add(r.match, r.price)
			}
			rule, detail := s.Excess()
			if rule != tc.dearest || (detail == "") != (tc.detail == "") || !strings.Contains(detail, tc.detail) {
				t.Errorf("rule %d: %s; want rule %d: %s", rule, detail, tc.dearest, tc.detail)
			}
		})
	}
}
