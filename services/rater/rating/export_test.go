package rating

import "slices"

// Slow returns the card without its path of small words.
func (c *Card) Slow() *Card {
	slow := *c
	slow.rules = slices.Clone(c.rules)
	for i := range slow.rules {
		slow.rules[i].price.fast = nil
	}
	return &slow
}
