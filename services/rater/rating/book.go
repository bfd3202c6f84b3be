package rating

import (
	"cmp"
	"slices"
	"time"
)

// Book holds every version of one rate card. It is immutable; the zero value is
// empty.
type Book struct {
	cards []*Card // by effective time, then version
}

// NewBook returns a Book of cards, in any order.
func NewBook(cards ...*Card) Book {
	sorted := slices.SortedFunc(slices.Values(cards), func(a, b *Card) int {
		return cmp.Or(a.effectiveFrom.Compare(b.effectiveFrom), cmp.Compare(a.version, b.version))
	})
	return Book{cards: sorted}
}

// At returns the version in force at t: the one that came into force last, and
// of several at that instant the highest version.
func (b Book) At(t time.Time) (*Card, bool) {
	for _, c := range slices.Backward(b.cards) {
		if !c.effectiveFrom.After(t) {
			return c, true
		}
	}
	return nil, false
}

// TieredSince returns when the first version with tiers came into force, the
// zero time being always; ok is false when none has any.
func (b Book) TieredSince() (since time.Time, ok bool) {
	for _, c := range b.cards {
		if c.tiered {
			return c.effectiveFrom, true
		}
	}
	return time.Time{}, false
}
