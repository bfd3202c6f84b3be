package audit

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// checkUsage reads every usage event that is still stored and settled, and
// finds each in the ledger: charged, or counted as duplicate or rejected.
func checkUsage(ctx context.Context, c Config, b *book, r *Report) error {
	r.Usage.Events, r.Usage.Charged = b.total.events, b.total.debits
	r.Usage.Duplicates, r.Usage.Rejected = b.total.duplicates, b.total.rejected
	usage := c.Broker.Log(events.StreamUsage)
	state, err := usage.State(ctx)
	if err != nil {
		return err
	}
	r.Usage.Messages = state.Messages
	if state.Messages == 0 {
		return nil // the ledger is what is left
	}
	found := make([]tally, len(b.spans))
	met := make(map[[16]byte]struct{}, len(b.charged))
	err = stream.Each(ctx, usage, stream.From{}, func(m stream.Message) error {
		countUsage(m, c.Partitions, state.First, b, met, found)
		c.Progress("usage", m.Sequence, state.Last)
		return nil
	})
	if err != nil {
		return err
	}
	debits := b.debitsFrom(state.First)
	for p, t := range b.spans {
		// Of what was trimmed only its debits are known one by one.
		if whole := state.First <= 1; whole && found[p].events != t.events {
			r.differ("usage", "partition %d: the ledger settles %d events, USAGE holds %d up to the same place", p, t.events, found[p].events)
		}
		if found[p].debits != debits[p] {
			r.differ("usage", "partition %d: the ledger has %d debits of events behind USAGE sequence %d, for %d such events", p, debits[p], state.First, found[p].debits)
		}
		if found[p].rejected > t.rejected {
			r.differ("usage", "partition %d: %d events are neither charged nor dead-lettered", p, found[p].rejected-t.rejected)
		}
	}
	return nil
}

// debitsFrom counts, by partition, the debits whose events USAGE must still
// hold when it begins with message first.
func (b *book) debitsFrom(first uint64) []uint64 {
	counts := make([]uint64, len(b.spans))
	for _, c := range b.charged {
		if c.Sequence >= first && c.sequence > b.spans[c.partition].rewound {
			counts[c.partition]++
		}
	}
	return counts
}

// countUsage counts the settled events of one message of a stream that begins
// with first: of those charged the first as debit and the others as duplicates,
// all others as rejected.
func countUsage(m stream.Message, partitions int, first uint64, b *book, met map[[16]byte]struct{}, found []tally) {
	partition := partitionOf(m.Subject, partitions)
	if partition < 0 {
		return
	}
	for i, item := range events.DecodeMessage(m.Subject, m.Header, m.Data, partitions) {
		settled, at := &b.spans[partition], events.Position{Sequence: m.Sequence, Index: i}
		if before(settled.through, at) {
			return
		}
		if settled.rewound > 0 && !before(settled.from, at) {
			continue
		}
		t := &found[partition]
		t.events++
		if item.Err == nil {
			key := eventKey(item.Usage.Source, item.Usage.ID)
			if c, ok := b.charged[key]; ok {
				if _, again := met[key]; again || c.sequence < settled.rewound || c.Sequence < first {
					t.duplicates++
				} else {
					t.debits++
				}
				met[key] = struct{}{}
				continue
			}
		}
		t.rejected++
	}
}

// partitionOf returns the partition a stored usage subject belongs to, or -1.
func partitionOf(subject string, partitions int) int {
	var partition int
	var account string
	if n, _ := fmt.Sscanf(subject, "usage.batch.%d", &partition); n == 1 {
		return inRange(partition, partitions)
	}
	if n, _ := fmt.Sscanf(subject, "usage.%d.%s", &partition, &account); n == 2 {
		return inRange(partition, partitions)
	}
	return -1
}

func inRange(partition, partitions int) int {
	if partition < 0 || partition >= partitions {
		return -1
	}
	return partition
}
