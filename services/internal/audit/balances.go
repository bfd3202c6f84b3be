package audit

import (
	"bytes"
	"context"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// checkBalances compares every balance in KV with the fold's, field by field.
// Accounts that have moved on since the ledger was read are left out: their
// balance belongs to a later sequence.
func checkBalances(ctx context.Context, c Config, b *book, r *Report) error {
	stored, err := readBalances(ctx, c)
	if err != nil {
		return err
	}
	for account := range b.state.Accounts() {
		value, ok := stored[account]
		delete(stored, account)
		if !ok {
			r.differ("balances", "account %s has no balance in %s", account, events.BucketBalances)
			continue
		}
		compareBalance(account, value, b, r)
	}
	for account, value := range stored {
		var balance events.Balance
		if err := json.Unmarshal(value, &balance); err != nil || balance.Sequence <= b.through {
			r.differ("balances", "%s has a balance of account %s, which the ledger does not name", events.BucketBalances, account)
		}
	}
	return nil
}

func compareBalance(account string, value []byte, b *book, r *Report) {
	want, _ := b.state.Balance(account)
	var got events.Balance
	if err := json.Unmarshal(value, &got); err != nil {
		r.differ("balances", "account %s: the balance is not one: %v", account, err)
		return
	}
	if got.Sequence > b.through {
		return
	}
	wantText, err := json.Marshal(want, json.Deterministic(true))
	if err != nil {
		r.differ("balances", "account %s: encode the balance: %v", account, err)
		return
	}
	gotText, err := json.Marshal(got, json.Deterministic(true))
	if err != nil || !bytes.Equal(wantText, gotText) {
		r.differ("balances", "account %s at ledger sequence %d: available %s, overage %s, charged %s in %s; available %s, overage %s, charged %s by the ledger at %d",
			account, got.Sequence, got.Available, got.Overage, got.Charged, events.BucketBalances,
			want.Available, want.Overage, want.Charged, want.Sequence)
	}
}

// readBalances returns the bucket's values by account.
func readBalances(ctx context.Context, c Config) (map[string][]byte, error) {
	values := map[string][]byte{}
	err := stream.Newest(ctx, c.Broker.Log(stream.BucketLog(events.BucketBalances)), func(m stream.Message) error {
		account := stream.BucketKey(events.BucketBalances, m.Subject)
		if m.Deletes() {
			delete(values, account)
		} else {
			values[account] = m.Data
		}
		c.Progress("balances", m.Sequence, m.Sequence+m.Pending)
		return nil
	})
	return values, err
}
