package correction

import (
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// Equal reports whether two charges say the same: of which event, what it was, what
// it costs and why. nil is no charge.
func Equal(a, b *events.Debit) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Source == b.Source && a.ID == b.ID && a.Time.Equal(b.Time) && a.Position.Sequence == b.Position.Sequence &&
		a.Position.Index == b.Position.Index && a.Position.StoredAt.Equal(b.Position.StoredAt) && a.Amount == b.Amount && a.Card == b.Card && a.Version == b.Version && a.Rule == b.Rule && a.Arithmetic == b.Arithmetic &&
		slices.EqualFunc(a.Tiers, b.Tiers, func(x, y events.Tier) bool {
			return x.Part == y.Part && x.Quantity == y.Quantity && x.Period.Equal(y.Period) && x.Before == y.Before && x.Amount == y.Amount
		}) && equalData(&a.Data, &b.Data)
}

func equalData(a, b *events.UsageData) bool {
	return a.Operation == b.Operation && a.Status == b.Status && a.Project == b.Project && a.Key == b.Key &&
		maps.Equal(a.Quantities, b.Quantities) && maps.Equal(a.Attributes, b.Attributes)
}
