package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// book is the ledger, read from its first message on.
type book struct {
	horizon time.Duration
	state   *ledger.State
	through uint64      // the last sequence folded
	stored  []time.Time // when each message was, from sequence 1

	charged   map[[16]byte]charge // of each usage event, by source and id
	corrected corrections
	spans     []tally // by partition
	total     tally   // of all partitions
}

// charge is where a usage event stood, and the ledger message that charges it.
type charge struct {
	events.Position
	sequence  uint64
	partition int
}

// tally sums the spans of one partition, since USAGE last lost its end: before
// that, USAGE does not hold what the ledger settled.
type tally struct {
	rewound    uint64          // the ledger message that says so; 0 when it never did
	from       events.Position // behind which it goes on
	through    events.Position
	events     uint64
	debits     uint64
	duplicates uint64
	rejected   uint64
}

func eventKey(source, id string) [16]byte {
	h := sha256.New()
	h.Write([]byte(source))
	h.Write([]byte{0})
	h.Write([]byte(id))
	return [16]byte(h.Sum(nil))
}

// readLedger folds the ledger up to its present end.
func readLedger(ctx context.Context, c Config, r *Report) (*book, error) {
	b := &book{
		horizon: c.Horizon, state: ledger.New(),
		charged: map[[16]byte]charge{}, corrected: corrections{}, spans: make([]tally, c.Partitions),
	}
	log := c.Broker.Log(events.StreamLedger)
	err := stream.Each(ctx, log, stream.From{}, func(m stream.Message) error {
		c.Progress("ledger", m.Sequence, m.Sequence+m.Pending)
		return b.fold(ctx, log, m, r)
	})
	if err != nil {
		return nil, err
	}
	r.Ledger.Sequence = b.through
	for account := range b.state.Accounts() {
		r.Ledger.Accounts++
		balance, _ := b.state.Balance(account)
		r.add(balance)
	}
	return b, nil
}

func (b *book) fold(ctx context.Context, log stream.Log, m stream.Message, r *Report) error {
	if m.Sequence != b.through+1 {
		r.differ("ledger", "message %d follows %d: the ledger has a gap", m.Sequence, b.through)
	}
	b.through = m.Sequence
	b.stored = append(b.stored, m.Time.Truncate(time.Microsecond))
	chunk, err := events.DecodeChunk(m.Data)
	if err == nil {
		err = events.CheckOrigin(m.Subject, chunk, len(b.spans))
	}
	if err != nil {
		r.differ("ledger", "message %d on %s is not the ledger's: %v", m.Sequence, m.Subject, err)
		return nil
	}
	debits := uint64(0)
	for i, entry := range chunk.Entries {
		r.Ledger.Entries++
		decision, _ := b.state.Apply(ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, entry, nil)
		switch entry.Kind {
		case events.EntryDebit:
			debits++
			b.charge(m.Sequence, entry, r)
		case events.EntryCorrection:
			r.Ledger.Corrections++
			if err := b.correct(ctx, log, place{m.Sequence, i}, entry, decision, r); err != nil {
				return err
			}
		}
	}
	if chunk.Span != nil {
		b.span(m, *chunk.Span, debits, r)
	}
	return nil
}

// charge notes a debit, which must be the only one for its usage event within
// the dedup horizon.
func (b *book) charge(sequence uint64, e events.Entry, r *Report) {
	d := e.Debit
	key := eventKey(d.Source, d.ID)
	if first, twice := b.charged[key]; twice && d.Position.StoredAt.Sub(first.StoredAt) <= b.horizon {
		r.differ("ledger", "usage event %s %s is charged twice: from USAGE %d/%d and, in ledger message %d, from %d/%d",
			d.Source, d.ID, first.Sequence, first.Index, sequence, d.Position.Sequence, d.Position.Index)
	}
	b.charged[key] = charge{Position: d.Position, sequence: sequence, partition: events.Partition(e.Account, len(b.spans))}
}

func (b *book) span(m stream.Message, s events.Span, debits uint64, r *Report) {
	partition, err := strconv.Atoi(strings.Split(m.Subject, ".")[1])
	if err != nil {
		panic(fmt.Sprintf("audit: the origin of message %d on %s was checked", m.Sequence, m.Subject))
	}
	t := &b.spans[partition]
	if s.Rewound {
		*t = tally{rewound: m.Sequence, from: s.Through, through: s.Through}
		return
	}
	if !before(t.through, s.Through) {
		r.differ("ledger", "message %d settles usage through %d/%d, behind %d/%d", m.Sequence,
			s.Through.Sequence, s.Through.Index, t.through.Sequence, t.through.Index)
	}
	if uint64(s.Events) != debits+uint64(s.Duplicates)+uint64(s.Rejected) {
		r.differ("ledger", "message %d settles %d events with %d debits, %d duplicates and %d rejected", m.Sequence,
			s.Events, debits, s.Duplicates, s.Rejected)
	}
	t.through = s.Through
	for _, sum := range []*tally{t, &b.total} {
		sum.events += uint64(s.Events)
		sum.debits += debits
		sum.duplicates += uint64(s.Duplicates)
		sum.rejected += uint64(s.Rejected)
	}
}

func before(a, b events.Position) bool {
	return a.Sequence < b.Sequence || a.Sequence == b.Sequence && a.Index < b.Index || a.Sequence == 0
}

// holds reports whether the ledger has the entry that c names: one that lost its
// end has not, and may have given the sequence out again.
func (b *book) holds(c events.Cause) bool {
	return c.Sequence > 0 && c.Sequence <= uint64(len(b.stored)) && b.stored[c.Sequence-1].Equal(c.At.Truncate(time.Microsecond))
}

// add sums an account into the report and checks that no credit was lost.
func (r *Report) add(b events.Balance) {
	if b.Granted != b.Remaining+b.Drawn+b.Expired+b.Voided {
		r.differ("ledger", "account %s: granted %s is not remaining %s + drawn %s + expired %s + voided %s",
			b.Account, b.Granted, b.Remaining, b.Drawn, b.Expired, b.Voided)
	}
	if b.Charged != b.Drawn+b.Overage+b.Forgiven {
		r.differ("ledger", "account %s: charged %s is not drawn %s + overage %s + forgiven %s",
			b.Account, b.Charged, b.Drawn, b.Overage, b.Forgiven)
	}
	c := &r.Credits
	for total, part := range map[*events.Credits]events.Credits{
		&c.Granted: b.Granted, &c.Remaining: b.Remaining, &c.Drawn: b.Drawn, &c.Expired: b.Expired,
		&c.Voided: b.Voided, &c.Charged: b.Charged, &c.Overage: b.Overage, &c.Forgiven: b.Forgiven,
	} {
		*total += part
	}
}
