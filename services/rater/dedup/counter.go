package dedup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/drawdown-credits/drawdown/events"
)

// CounterKey stands for one tier counter of an account in one billing period: by
// the period's start, and 128 bits of a hash of the rest.
type CounterKey [24]byte

// CounterKeyOf returns the key of what account counts as c since the start of
// its billing period. No name holds a zero byte.
func CounterKeyOf(account string, period time.Time, c events.Counter) CounterKey {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{account, c.Card, c.Rule, string(c.Part), c.Quantity} {
		b = append(append(b, part...), 0)
	}
	sum := sha256.Sum256(b)
	var k CounterKey
	binary.BigEndian.PutUint64(k[:8], sortable(period))
	copy(k[8:], sum[:16])
	return k
}

// sortable is a number that is greater for a later time.
func sortable(t time.Time) uint64 { return uint64(t.UnixMicro()) ^ 1<<63 }

// countersFrom is where the counters of billing periods that start at t or
// later begin in the database.
func countersFrom(t time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindCount}, sortable(t))
}

// Counts are what counters stand at.
type Counts map[CounterKey]Count

func (c Counts) put(b *pebble.Batch) error {
	for k, count := range c {
		if err := b.Set(k.inDatabase(), count.bytes(), nil); err != nil {
			return err
		}
	}
	return nil
}

func (k CounterKey) inDatabase() []byte { return append([]byte{kindCount}, k[:]...) }

// Count returns what a counter stands at: 0 for one that never moved.
func (x *Index) Count(k CounterKey) (Count, error) {
	value, closer, err := x.db.Get(k.inDatabase())
	if errors.Is(err, pebble.ErrNotFound) {
		return Count{}, nil
	}
	var count Count
	if err == nil {
		count, err = readCount(value)
		err = errors.Join(err, closer.Close())
	}
	if err != nil {
		x.corrupt.Store(errors.Is(err, events.ErrInvalid))
		x.fail(err)
		return Count{}, fmt.Errorf("read a tier counter: %w", err)
	}
	return count, nil
}

// Since returns how far back counters go: ledger messages stored before it,
// debits or corrections, are not in them.
func (x *Index) Since() time.Time { return x.record.Since }

// expireEvery is how often counters are forgotten.
const expireEvery = 24 * time.Hour

// Reach returns how long before the time of the usage being settled a billing
// period may have started that an event can still fall into.
func (id Identity) Reach() time.Duration { return id.Window() + events.MaxPeriod }
