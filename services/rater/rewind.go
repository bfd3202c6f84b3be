package rater

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// RewindReport says what Rewind found in a partition.
type RewindReport struct {
	Partition int
	// Rewound is false when USAGE holds what the ledger settles: then nothing
	// was done.
	Rewound bool
	// From is where the ledger stood, To where the rater goes on behind: the
	// last message that both know.
	From, To events.Position
	// Lost are the events charged between To and From whose message USAGE has
	// no longer. They stay charged.
	Lost int
	// Sequence is that of the ledger message that takes usage back.
	Sequence uint64
}

// Rewind takes the partition's place in USAGE back to the last message that
// both USAGE and the ledger know, after USAGE lost its end. It appends to the
// ledger behind the same fence as a rater, and does nothing when it is done
// already. Raters go on by themselves; what they read again is not charged
// again, because it is known.
func Rewind(ctx context.Context, broker stream.Broker, partition int) (RewindReport, error) {
	r := rewinder{
		ledger: broker.Log(events.StreamLedger), usage: broker.Log(events.StreamUsage),
		subject: events.LedgerSubject(partition, events.WriterUsage), held: map[stream.Mark]bool{},
		report: RewindReport{Partition: partition},
	}
	if err := r.run(ctx); err != nil {
		return r.report, fmt.Errorf("take the usage of partition %d back: %w", partition, err)
	}
	return r.report, nil
}

type rewinder struct {
	ledger, usage stream.Log
	subject       string
	state         stream.State // of USAGE
	held          map[stream.Mark]bool
	report        RewindReport
}

func (r *rewinder) run(ctx context.Context) error {
	last, ok, err := r.ledger.Last(ctx, r.subject)
	if err != nil || !ok {
		return err
	}
	c, err := decodeOwn(last)
	if err != nil {
		return err
	}
	r.report.From, r.report.To = c.Span.Through, c.Span.Through
	if r.state, err = r.usage.State(ctx); err != nil {
		return err
	}
	if holds, err := r.holds(ctx, c.Span.Through); err != nil || holds {
		return err
	}
	at, err := r.common(ctx, last.Sequence)
	if err != nil {
		return err
	}
	if r.report.Lost, err = r.lost(ctx, at, last.Sequence); err != nil {
		return err
	}
	body, err := events.EncodeChunk(events.Chunk{Span: &events.Span{Through: r.report.To, Rewound: true}})
	if err != nil {
		return err
	}
	r.report.Sequence, err = r.ledger.Append(ctx, stream.Append{
		Subject: r.subject, Data: body, Fence: &stream.Fence{Sequence: last.Sequence},
	})
	r.report.Rewound = err == nil
	return err
}

// common finds the last position that USAGE still holds, and the sequence of
// the ledger message that settles through it. It reads the ledger's end first,
// and more of it as long as there is none.
func (r *rewinder) common(ctx context.Context, last uint64) (at uint64, err error) {
	const first, more = 1 << 12, 8
	for length := uint64(first); ; length *= more {
		from := uint64(1)
		if last > length {
			from = last - length
		}
		var settled []place
		err := r.each(ctx, from, last, func(m stream.Message, c events.Chunk) error {
			settled = append(settled, place{m.Sequence, c.Span.Through})
			return nil
		})
		if err != nil {
			return 0, err
		}
		for i := len(settled) - 1; i >= 0; i-- {
			holds, err := r.holds(ctx, settled[i].through)
			if err != nil {
				return 0, err
			}
			if holds {
				r.report.To = settled[i].through
				return settled[i].sequence, nil
			}
		}
		if from == 1 {
			r.report.To = events.Position{}
			return 0, nil
		}
	}
}

// place is a ledger message and what it settles through.
type place struct {
	sequence uint64
	through  events.Position
}

// lost counts the events charged behind ledger message at that USAGE has no
// longer.
func (r *rewinder) lost(ctx context.Context, at, last uint64) (n int, err error) {
	err = r.each(ctx, at+1, last, func(_ stream.Message, c events.Chunk) error {
		for _, e := range c.Entries {
			holds, err := r.holds(ctx, e.Debit.Position)
			if err != nil {
				return err
			}
			if !holds {
				n++
			}
		}
		return nil
	})
	return n, err
}

// each calls do with the partition's own ledger messages from one sequence on
// to another, which must be one of them.
func (r *rewinder) each(ctx context.Context, from, last uint64, do func(stream.Message, events.Chunk) error) error {
	if from > last {
		return nil
	}
	reader, err := r.ledger.Read(ctx, stream.From{Sequence: from}, r.subject)
	if err != nil {
		return err
	}
	defer reader.Close()
	for at := uint64(0); at < last; {
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		c, err := decodeOwn(m)
		if err != nil {
			return err
		}
		if err := do(m, c); err != nil {
			return err
		}
		at = m.Sequence
	}
	return nil
}

// holds reports whether USAGE has the message of p, or had it until it expired.
func (r *rewinder) holds(ctx context.Context, p events.Position) (bool, error) {
	switch mark := positionMark(p); {
	case p.Sequence > r.state.Last:
		return false, nil
	case p.Sequence < r.state.First || p.Sequence == 0:
		return true, nil
	default:
		if holds, known := r.held[mark]; known {
			return holds, nil
		}
		m, ok, err := r.usage.Get(ctx, p.Sequence)
		if err != nil {
			return false, err
		}
		r.held[mark] = ok && m.Time.Equal(p.StoredAt)
		return r.held[mark], nil
	}
}
