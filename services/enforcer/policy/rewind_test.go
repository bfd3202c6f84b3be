package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// A power cut took the end of LEDGER, of sequences 7 and later, after the
// enforcer had told what was there. Then the sequences are given out again.
// Entries of the time after are written with a quote, as @8'; entries with an
// identity, which is charged again, as @8#call.
func TestALedgerThatLostItsEndIsToldOnFrom(t *testing.T) {
	tests := map[string]struct {
		before []events.Balance
		after  []events.Balance // lost: the shell found the cause of the last signal gone
		lost   bool
		want   []string // told after
	}{
		"what happens at sequences given out again is told": {
			before: []events.Balance{story(8, "+20=20@8", "-5=5@1", "-stop=0@1")},
			after:  []events.Balance{story(7, "-20=20@1", "-5=5@1", "-stop=0@1"), again(7, "+20=20@7'", "+5=5@7'", "+stop=0@7'")},
			want:   []string{"2 low 20 @7", "3 low 5 @7", "4 exhausted 0 @7"},
		},
		"what was told and is the same usage event again is not repeated": {
			before: []events.Balance{story(8, "+20=20@8#call", "-5=5@1", "-stop=0@1")},
			after:  []events.Balance{again(7, "+20=20@7'#call", "-5=5@1", "-stop=0@1"), again(9, "+20=20@7'#call", "-5=5@1", "-stop=0@1")},
		},
		"nor is what was told before it": {
			before: []events.Balance{story(8, "+20=20@7#one", "+5=5@8#two", "-stop=0@1")},
			after:  []events.Balance{again(9, "+20=20@8'#one", "+5=5@9'#two", "-stop=0@1")},
		},
		"what follows the same usage event again is told": {
			before: []events.Balance{story(8, "+20=20@8#call", "-5=5@1", "-stop=0@1")},
			after:  []events.Balance{again(9, "+20=20@7'#call", "+5=5@8'", "+stop=0@9'")},
			want:   []string{"2 low 5 @8", "3 exhausted 0 @9"},
		},
		"exhausted again is not repeated": {
			before: []events.Balance{story(8, "+stop=0@8")},
			after:  []events.Balance{again(7, "+stop=0@7'"), again(9, "+stop=0@7'")},
		},
		"an account whose end was lost before it was exhausted is restored by what comes next": {
			before: []events.Balance{story(8, "+stop=0@8")},
			after:  []events.Balance{again(7, "-stop=0@1")},
			want:   []string{"2 restored 0 @1"},
		},
		"an account that nothing came for since stands where it was, as far as one can see": {
			before: []events.Balance{story(8, "+stop=0@8")},
			after:  []events.Balance{story(6, "-stop=0@1")},
		},
		"and is restored when LEDGER is known to have lost why": {
			before: []events.Balance{story(8, "+20=20@5", "+stop=0@8")},
			after:  []events.Balance{story(6, "+20=20@5", "-stop=0@1"), story(6, "+20=20@5", "-stop=0@1")},
			lost:   true,
			want:   []string{"3 restored 0 @1"},
		},
		"an account whose restoring was lost is exhausted again, by what exhausted it": {
			before: []events.Balance{story(5, "+stop=0@5"), story(8, "-stop=0@8")},
			after:  []events.Balance{again(9, "+stop=0@5"), again(10, "+stop=0@5")},
			want:   []string{"3 exhausted 0 @5"},
		},
		"signals of the time after come in turns as always": {
			before: []events.Balance{story(8, "+20=20@8", "+stop=0@8")},
			after:  []events.Balance{again(7, "-20=20@7'", "-stop=0@7'"), again(8, "+20=20@8'", "+stop=0@8'"), again(9, "+20=20@8'", "-stop=0@9'")},
			want:   []string{"3 restored 0 @7", "4 low 20 @8", "5 exhausted 0 @8", "6 restored 0 @9"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var all []events.Signal
			for _, b := range test.before {
				all = append(all, policy.React(restart(all), b)...)
			}
			told := len(all)
			for _, b := range test.after {
				react := policy.React
				if test.lost {
					react = policy.ReactRewound
				}
				all = append(all, react(restart(all), b)...)
			}
			if diff := cmp.Diff(test.want, render(all[told:])); diff != "" {
				t.Errorf("told after (-want +got):\n%s", diff)
			}
			for i, s := range all {
				if s.Sequence != uint64(i+1) {
					t.Errorf("signal %d of the account is the %d. one", s.Sequence, i+1)
				}
			}
		})
	}
}

// story is at with identities.
func story(seq uint64, levels ...string) events.Balance {
	var ids []string
	var quoted []bool
	plain := make([]string, len(levels))
	for i, text := range levels {
		text, id, _ := strings.Cut(text, "#")
		bare := strings.TrimSuffix(text, "'")
		plain[i], ids, quoted = bare, append(ids, id), append(quoted, bare != text)
	}
	b := at(seq, plain...)
	for i := range b.Levels {
		if c := b.Levels[i].Since; c != nil {
			c.ID = ids[i]
			if quoted[i] {
				c.At = c.At.Add(time.Hour)
			}
		}
	}
	return b
}

// again is a story of the time after.
func again(seq uint64, levels ...string) events.Balance {
	b := story(seq, levels...)
	b.At = b.At.Add(time.Hour)
	return b
}
