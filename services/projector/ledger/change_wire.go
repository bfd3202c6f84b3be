package ledger

import (
	"github.com/drawdown-credits/drawdown/events"
)

// waiting reads settings that wait for the end of the running period.
func (d *stateDecoder) waiting(a *account, running bool) {
	a.waiting = &events.Account{}
	d.content(d.text(), a.waiting)
	_, known := d.state.plans[a.waiting.Plan]
	sound := running && a.settings != nil && (known || a.waiting.Plan == "") && !a.waiting.StartedAt.IsZero() &&
		a.waiting.Change == "" && a.waiting.Next == nil && checkAccount(*a.waiting, a.id) == ""
	d.check(sound, "settings that wait")
}
