package policy

import (
	"github.com/drawdown-credits/drawdown/events"
)

// topUps returns the signal of the request that pends, unless it was told.
// Requests of an account are numbered, and one that a ledger without its end
// numbers anew is not told again: whoever pays was asked under that id.
func (p Published) topUps(b events.Balance) []events.Signal {
	if b.TopUp == nil || b.TopUp.Since == nil || numberOf(b.TopUp.Request, b.Account) <= p.topUp {
		return nil
	}
	request := *b.TopUp.Request
	s := signal(events.SignalTopUpRequested, b, events.Level{Threshold: request.Below.String()}, *b.TopUp.Since)
	s.TopUp = &request
	return []events.Signal{s}
}

// numberOf returns which request of account r is; 0 for none.
func numberOf(r *events.TopUpRequest, account string) uint64 {
	if r == nil {
		return 0
	}
	return events.TopUpNumber(account, r.ID)
}
