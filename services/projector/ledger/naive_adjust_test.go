package ledger_test

import "github.com/drawdown-credits/drawdown/events"

func (a *naiveAccount) adjust(content events.Adjustment) string {
	for _, known := range a.adjusted {
		switch {
		case known == content:
			return "unchanged"
		case known.ID == content.ID:
			return "refused conflict"
		}
	}
	a.adjusted = append(a.adjusted, content)
	a.began = true
	if content.Amount < 0 {
		a.charges = append(a.charges, -content.Amount)
		a.cover()
		return "applied"
	}
	g := &naiveGrant{GrantBalance: events.GrantBalance{
		ID: "adjust:" + content.ID, Amount: content.Amount, Priority: 100, EffectiveAt: a.now, Source: events.SourceAdjustment,
	}, granted: content.Amount}
	a.grants = append(a.grants, g)
	a.activate(g, a.now)
	return "applied"
}
