package simulation

import (
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// place is an event in USAGE.
type place struct {
	sequence uint64
	index    int
}

// maxAhead is how far a time may lie ahead, as rater.DefaultMaxAhead.
const maxAhead = 5 * time.Minute

// auditUsage decides every usage event by itself, in the order of USAGE, and
// compares that with the debits in LEDGER and with DEADLETTER.
func (w *world) auditUsage() string {
	charges, refusals := map[place]given{}, map[place]string{}
	counted := map[string]bool{}
	total := 0
	for _, m := range w.server.Messages(events.StreamUsage) {
		for i, e := range w.load.usage[m.Sequence] {
			total++
			at := place{m.Sequence, i}
			switch {
			case e.wrong != "":
				refusals[at] = e.wrong
			case !counted[e.id]:
				counted[e.id] = true
				charges[at] = e
			}
		}
	}
	settled, wrong := w.auditDebits(charges)
	switch {
	case wrong != "":
		return wrong
	case settled != total:
		return fmt.Sprintf("%d usage events of %d are settled", settled, total)
	}
	return w.auditDeadLetters(refusals)
}

// auditDebits compares the debits of the ledger with what is to be charged, and
// returns how many events the ledger says are settled.
func (w *world) auditDebits(charges map[place]given) (settled int, wrong string) {
	found := map[place]bool{}
	for _, m := range w.server.Messages(events.StreamLedger) {
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			return 0, fmt.Sprintf("ledger message %d: %v", m.Sequence, err)
		}
		if chunk.Span != nil {
			settled += chunk.Span.Events
		}
		for _, entry := range chunk.Entries {
			d := entry.Debit
			if d == nil {
				continue
			}
			at := place{d.Position.Sequence, d.Position.Index}
			e, ok := charges[at]
			switch {
			case !ok:
				return 0, fmt.Sprintf("ledger message %d charges event %v (%s), which is not to be charged", m.Sequence, at, d.ID)
			case found[at]:
				return 0, fmt.Sprintf("ledger message %d charges event %v (%s) once more", m.Sequence, at, d.ID)
			case entry.Account != e.account || d.ID != e.id || d.Source != source || int64(d.Amount) != price(d.Version, e):
				return 0, fmt.Sprintf("ledger message %d charges %s %s to %s; expected %+v", m.Sequence, d.Amount, d.ID, entry.Account, e)
			}
			found[at] = true
		}
	}
	if len(found) != len(charges) {
		return settled, fmt.Sprintf("%d events are charged; expected %d", len(found), len(charges))
	}
	return settled, ""
}

// auditDeadLetters compares DEADLETTER with what is to be refused.
func (w *world) auditDeadLetters(refusals map[place]string) string {
	found := map[place]bool{}
	for _, m := range w.server.Messages(events.StreamDeadLetter) {
		d, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
		if err != nil {
			return fmt.Sprintf("dead letter %d: %v", m.Sequence, err)
		}
		at := place{d.Sequence, d.Index}
		if want, ok := refusals[at]; !ok || want != d.Reason || found[at] {
			return fmt.Sprintf("dead letter %d is of event %v for %s; expected %q, once", m.Sequence, at, d.Reason, want)
		}
		found[at] = true
	}
	if len(found) != len(refusals) {
		return fmt.Sprintf("%d events are dead-lettered; expected %d", len(found), len(refusals))
	}
	return ""
}
