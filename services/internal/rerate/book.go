package rerate

import (
	"cmp"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
)

// Version is one version of a rate card, and how it rates.
type Version struct {
	Card events.RateCard
	Rate simulate.Rate
}

// Book holds every version of one rate card. It is immutable; the zero value is
// empty.
type Book struct {
	versions []Version // by effective time, then number
}

// NewBook returns a Book of versions, in any order.
func NewBook(versions ...Version) Book {
	return Book{slices.SortedFunc(slices.Values(versions), func(a, b Version) int {
		return cmp.Or(a.Card.EffectiveFrom.Compare(b.Card.EffectiveFrom), cmp.Compare(a.Card.Version, b.Card.Version))
	})}
}

// At returns the version in force at t: the one that came into force last, and of
// several at that instant the highest.
func (b Book) At(t time.Time) (Version, bool) {
	for _, v := range slices.Backward(b.versions) {
		if !v.Card.EffectiveFrom.After(t) {
			return v, true
		}
	}
	return Version{}, false
}

// Until returns when a version that comes into force at from is replaced, the
// zero time being never.
func (b Book) Until(from time.Time) time.Time {
	for _, v := range b.versions {
		if v.Card.EffectiveFrom.After(from) {
			return v.Card.EffectiveFrom
		}
	}
	return time.Time{}
}
