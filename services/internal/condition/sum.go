package condition

import "fmt"

// SumMax is what the conditions of one rate card may cost together for the
// largest event there can be: some 20 ms.
const SumMax = 100_000

// Sum is what the conditions of a rate card may cost for one event: those of all
// matches, because the last rule may be the one, and those of the dearest price,
// because one rule rates. The zero value is that of a card without rules.
type Sum struct {
	matches, price uint64
	rules          int
	dearest        int // rule
	most           uint64
}

// Add adds the next rule, with what the conditions of its match and of its price
// may cost.
func (s *Sum) Add(match, price uint64) {
	s.matches += match
	s.price = max(s.price, price)
	if match+price > s.most {
		s.dearest, s.most = s.rules, match+price
	}
	s.rules++
}

// Excess says how much more than SumMax it is, and names the dearest rule, from
// 0; it is "" within the bound.
func (s *Sum) Excess() (rule int, detail string) {
	if s.matches+s.price <= SumMax {
		return 0, ""
	}
	return s.dearest, fmt.Sprintf("found conditions that may cost %d together, of which this rule's %d; expected at most %d in one card: compare less text, or loop over less",
		s.matches+s.price, s.most, SumMax)
}
