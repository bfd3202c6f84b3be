package explain_test

import (
	"slices"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/explain"
)

func TestTerms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arithmetic string
		want       []string
	}{
		"a flat price has no terms":              {"1.5", nil},
		"a sum has one for each part":            {"0.01 + 4808 / 1000 × 0.15 = 0.7312", []string{"0.01", "4808 / 1000 × 0.15"}},
		"what is rounded is not a term":          {"0.01 + 220 / 3 × 0.1 = 7.3433… → 7.343333 (half_up)", []string{"0.01", "220 / 3 × 0.1"}},
		"a sum in brackets stays whole":          {"0.25 + ceil((1 + 2) / 3) × 1 = 1.25", []string{"0.25", "ceil((1 + 2) / 3) × 1"}},
		"a minimum behind the sum is not a term": {"0.01 + 1 / 1000 × 0.15 = 0.01015; max(0.01015, min 0.02) = 0.02", []string{"0.01", "1 / 1000 × 0.15"}},
		"text in brackets is text":               {"500 / 1000 × 3 (a + b = c, eu) + 1 × 0.5 (requests 0 to 1) = 2", []string{"500 / 1000 × 3 (a + b = c, eu)", "1 × 0.5 (requests 0 to 1)"}},
		"a minimum of one part is not a sum":     {"max(0.01, min 0.02) = 0.02", nil},
	} {
		if got := explain.Terms(c.arithmetic); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s: %q, want %q", name, c.arithmetic, got, c.want)
		}
	}
}
