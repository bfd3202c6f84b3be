package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// event is one event in USAGE, of which a sequence alone says nothing once the
// stream has lost its end.
type event struct {
	sequence uint64
	index    int
	stored   int64 // the time, in nanoseconds
}

func eventAt(m stream.Message, index int) event {
	return event{sequence: m.Sequence, index: index, stored: m.Time.UnixNano()}
}

// published is one message of USAGE.
type published struct {
	stream.Message
	events []given
	lost   bool // with the end of USAGE; perhaps before it was settled
}

// published returns what USAGE ever held, what it lost first.
func (w *world) published() []published {
	all := slices.Clone(w.load.lost)
	for _, m := range w.server.Messages(events.StreamUsage) {
		all = append(all, published{Message: m, events: w.load.usage[m.Sequence]})
	}
	return all
}

// How old an event may be, and how far its time may lie ahead, when it is
// stored. An id is remembered for both together.
const (
	horizon  = 8 * time.Second
	maxAhead = 2 * time.Second
)

// charge is a debit found in the ledger.
type charge struct {
	place
	account string
	at      time.Time // when it was stored
	events.Debit
}

// Verdicts beside the codes of dead letters.
const (
	charged   = "charged"
	duplicate = "counted before"
)

// auditUsage decides every usage event by itself, in the order of USAGE, and
// compares that with LEDGER and DEADLETTER.
func (w *world) auditUsage() string {
	charges, settled, wrong := w.charges()
	if wrong != "" {
		return wrong
	}
	if wrong := w.auditPrices(charges); wrong != "" {
		return wrong
	}
	refusals, wrong := w.refusals()
	if wrong != "" {
		return wrong
	}
	w.seen = map[string]int{}
	counted := map[string]time.Time{} // when an id was last charged
	total := 0
	for _, m := range w.published() {
		for i, e := range m.events {
			total++
			at := eventAt(m.Message, i)
			got := duplicate
			c, ok := charges[at]
			if ok {
				got = charged
			} else if reason, ok := refusals[at]; ok {
				got = reason
			}
			if want := w.verdicts(e, m.Time, counted[e.id]); !slices.Contains(want, got) && !(m.lost && got == duplicate) {
				return fmt.Sprintf("event %v, %s of %s, is %s; expected %s", at, e.id, e.account, got, strings.Join(want, " or "))
			}
			if got == charged {
				counted[e.id] = c.at
			}
			w.seen[got]++
			delete(charges, at)
			delete(refusals, at)
		}
	}
	if len(charges)+len(refusals) > 0 || settled != total && len(w.load.lost) == 0 {
		return fmt.Sprintf("%d usage events of %d are settled; of no event are %d charges and %d dead letters", settled, total, len(charges), len(refusals))
	}
	return ""
}

// verdicts are what may be decided on an event stored at a time, whose id was
// last charged at another.
func (w *world) verdicts(e given, stored, counted time.Time) []string {
	fresh := charged
	switch {
	case e.wrong != "":
		return []string{e.wrong}
	case e.at.After(stored.Add(maxAhead)):
		fresh = events.CodeFuture
	case stored.Sub(e.at) > horizon:
		fresh = events.CodeTooLate
	case e.operation == unpriced:
		fresh = events.CodeUnratable
	}
	switch {
	case counted.IsZero():
		return []string{fresh}
	case stored.Sub(counted) <= horizon+maxAhead:
		return []string{duplicate}
	}
	return []string{duplicate, fresh} // it may be forgotten
}

// charges are the debits in the ledger, each once, and how many events the
// ledger says are settled.
func (w *world) charges() (found map[event]charge, settled int, wrong string) {
	found = map[event]charge{}
	for _, m := range w.server.Messages(events.StreamLedger) {
		chunk := w.chunk(m)
		if chunk.Span != nil {
			settled += chunk.Span.Events
		}
		for i, e := range chunk.Entries {
			if e.Debit == nil {
				continue
			}
			at := event{e.Debit.Position.Sequence, e.Debit.Position.Index, e.Debit.Position.StoredAt.UnixNano()}
			if _, ok := found[at]; ok {
				return nil, 0, fmt.Sprintf("ledger message %d charges event %v (%s) once more", m.Sequence, at, e.Debit.ID)
			}
			found[at] = charge{place: place{m.Sequence, i}, account: e.Account, at: m.Time, Debit: *e.Debit}
		}
	}
	return found, settled, ""
}

// refusals are the reasons of the dead letters, each once.
func (w *world) refusals() (found map[event]string, wrong string) {
	found = map[event]string{}
	for _, m := range w.server.Messages(events.StreamDeadLetter) {
		d, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
		if err != nil {
			return nil, fmt.Sprintf("dead letter %d: %v", m.Sequence, err)
		}
		at := event{d.Sequence, d.Index, d.StoredAt.UnixNano()}
		if _, ok := found[at]; ok {
			return nil, fmt.Sprintf("dead letter %d is of event %v once more", m.Sequence, at)
		}
		found[at] = d.Reason
	}
	return found, ""
}
