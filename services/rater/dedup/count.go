package dedup

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/drawdown-credits/drawdown/events"
)

// Count is the sum of what was put into a tier counter and taken out of it
// again. It is below 0 while it lacks what was put in, so that the order does not
// matter in which debits and corrections are read. The zero value is 0.
type Count struct {
	high, low uint64 // in units of 10^-12, in two's complement, which never fails
}

// countUnit is one, and countBytes how long a Count is in the database.
const (
	countUnit  = 1_000_000_000_000
	countBytes = 16
)

// Add returns c and q in it.
func (c Count) Add(q events.Quantity) Count {
	high, low := units(q)
	low, carry := bits.Add64(c.low, low, 0)
	high, _ = bits.Add64(c.high, high, carry)
	return Count{high, low}
}

// Sub returns c without q.
func (c Count) Sub(q events.Quantity) Count {
	high, low := units(q)
	low, borrow := bits.Sub64(c.low, low, 0)
	high, _ = bits.Sub64(c.high, high, borrow)
	return Count{high, low}
}

func units(q events.Quantity) (high, low uint64) {
	whole, parts := q.Total().Fraction()
	high, low = bits.Mul64(whole, countUnit)
	low, carry := bits.Add64(low, parts, 0)
	return high + carry, low
}

// Total returns c, and 0 when it is below. It answers events.ErrOverflow when c
// is more than a total can be.
func (c Count) Total() (events.Total, error) {
	switch {
	case int64(c.high) < 0:
		return events.Total{}, nil
	case c.high >= countUnit:
		return events.Total{}, fmt.Errorf("read a tier counter: %w", events.ErrOverflow)
	}
	return events.NewTotal(bits.Div64(c.high, c.low, countUnit))
}

func (c Count) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, countBytes), c.high)
	return binary.BigEndian.AppendUint64(b, c.low)
}

func readCount(b []byte) (Count, error) {
	if len(b) != countBytes {
		return Count{}, fmt.Errorf("found %d bytes; expected %d: %w", len(b), countBytes, events.ErrInvalid)
	}
	return Count{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}
