package rater

import (
	"fmt"
	"maps"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/rater/dedup"
)

// totals are tier counters that moved since the index was last moved.
type totals struct {
	current dedup.Totals // also what chunks that are being filled and written moved
	unsaved dedup.Totals // by chunks that are in the ledger
}

func newTotals() totals { return totals{current: dedup.Totals{}, unsaved: dedup.Totals{}} }

// settle notes that what moved counters to after is in the ledger.
func (t *totals) settle(after dedup.Totals) { maps.Copy(t.unsaved, after) }

// saved notes that the index holds what is in the ledger.
func (t *totals) saved() {
	maps.DeleteFunc(t.current, func(k dedup.CounterKey, total events.Total) bool {
		saved, ok := t.unsaved[k]
		return ok && saved == total
	})
	clear(t.unsaved)
}

// total returns what a counter stands at.
func (p *partition) total(k dedup.CounterKey) (events.Total, error) {
	if total, ok := p.totals.current[k]; ok {
		return total, nil
	}
	return p.index.Total(k)
}

// count moves the counters that a debit of account moves, and notes in after
// where they stand then.
func (p *partition) count(account string, d *events.Debit, after dedup.Totals) error {
	for i := range d.Tiers {
		t := &d.Tiers[i]
		k := dedup.CounterKeyOf(account, t.Period, d.Counter(*t))
		total, err := p.total(k)
		if err != nil {
			return err
		}
		if total, err = total.Add(t.Amount.Total()); err != nil {
			return fmt.Errorf("count %s of %s: %w", t.Quantity, account, err)
		}
		p.totals.current[k], after[k] = total, total
	}
	return nil
}
