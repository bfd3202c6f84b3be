package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
)

// ledger is what is stored in LEDGER.
type ledger struct {
	*Oracle
	through    uint64
	spans      []span // by partition
	books      *books.Books
	counters   map[counter]int64
	late       map[counter][]int64 // what corrections change of them, in their order
	decisions  map[uint64]decided  // on commands, by sequence
	short      map[commandKey]bool // holds that were refused for lack of credits
	charges    map[string]*sum     // debits by account
	standing   map[string]*sum     // charges as they stand now, by account
	operations map[string]*sum     // and by operation
	charged    int
	charge     *big.Int
	ticks      int

	corrections int
}

// decided is what became of a command.
type decided struct {
	commandKey
	outcome         string // or the code of a refusal
	available, held int64
}

// span adds up the spans of one partition.
type span struct {
	events, duplicates, rejected int
	through                      place
}

// sum is a count and a sum.
type sum struct {
	count int64
	uc    int64
}

func newLedger(o *Oracle) *ledger {
	l := &ledger{
		Oracle: o, spans: make([]span, o.config.Partitions), books: books.New(), counters: map[counter]int64{}, late: map[counter][]int64{},
		decisions: map[uint64]decided{}, short: map[commandKey]bool{}, charges: map[string]*sum{}, standing: map[string]*sum{}, operations: map[string]*sum{}, charge: new(big.Int),
	}
	l.books.Corrects = func(d *books.Debit) bool { return len(o.log.corrects[parseID(d.Source, d.ID)]) > 0 }
	return l
}

func (l *ledger) take(m message) error {
	var c books.Chunk
	if err := json.Unmarshal(m.data, &c); err != nil {
		l.final.add("unreadable ledger message", "LEDGER %d: %v", m.sequence, err)
		return nil
	}
	tokens := strings.Split(m.subject, ".")
	partition, err := strconv.Atoi(tokens[1])
	if tokens[1] != "all" && (err != nil || partition < 0 || partition >= l.config.Partitions) {
		l.final.add("unknown ledger entry", "LEDGER %d: subject %s", m.sequence, m.subject)
		return nil
	}
	if c.Span != nil {
		s := &l.spans[partition]
		s.events += c.Span.Events
		s.duplicates += c.Span.Duplicates
		s.rejected += c.Span.Rejected
		now := place{c.Span.Through.Sequence, c.Span.Through.Index}
		if now.sequence < s.through.sequence || now.sequence == s.through.sequence && now.index <= s.through.index {
			l.final.add("span goes back", "LEDGER %d settles through USAGE %v after %v", m.sequence, now, s.through)
		}
		s.through = now
	}
	for index := range c.Entries {
		l.entry(m, index, &c.Entries[index])
	}
	return nil
}

// entry writes an entry into the books, once it is clear that it may be there.
func (l *ledger) entry(m message, index int, e *books.Entry) {
	at := place{m.sequence, index}
	switch e.Kind {
	case "debit":
		l.debit(at, e)
	case "tick":
		l.ticks++
	case "rate_card":
		return
	case "correction":
		l.correction(at, e)
	default:
		l.asked(at, e)
	}
	d := l.books.Apply(books.Place{Sequence: at.sequence, Index: index}, m.time, e)
	if e.Kind == "debit" || e.Kind == "tick" {
		return
	}
	if c := e.Correction; c != nil && d.Outcome == "applied" {
		l.stand(e.Account, c.Was, -1)
		l.stand(e.Account, c.Now, 1)
	}
	known := decided{commandKey: keyOf(e), outcome: cmp.Or(d.Code, d.Outcome)}
	if a := l.books.Accounts[e.Account]; a != nil {
		known.available, known.held = a.Available(), a.Held()
	}
	l.decisions[at.sequence] = known
	if known.outcome == "insufficient" {
		l.short[known.commandKey] = true
	}
}

// asked checks that somebody gave a command as it stands in the ledger.
func (l *ledger) asked(at place, e *books.Entry) {
	key, amount := keyOf(e), int64(0)
	switch {
	case e.Grant != nil:
		amount = int64(e.Grant.Amount)
	case e.Hold != nil:
		amount = int64(e.Hold.Amount)
	case e.Capture != nil:
		amount = int64(e.Capture.Amount)
	case e.Adjust != nil:
		amount = int64(e.Adjust.Amount)
	}
	if !slices.Contains(l.log.asked[key], amount) {
		l.final.add("unknown ledger entry", "LEDGER %d.%d: nobody asked for %v of %d", at.sequence, at.index, key, amount)
	}
}

// correction compares a correction with what was asked, and notes what it changes
// of what tiers count.
func (l *ledger) correction(at place, entry *books.Entry) {
	c := entry.Correction
	id := parseID(c.Source, c.ID)
	e := l.log.event(id)
	if e == nil || e.Account != entry.Account {
		l.final.add("unknown ledger entry", "LEDGER %d.%d corrects %v of %s, which does not exist", at.sequence, at.index, id, entry.Account)
		return
	}
	asked := slices.ContainsFunc(l.log.corrects[id], func(asked journal.Correction) bool {
		if asked.Operation == "" || c.Now == nil {
			return asked.Operation == "" && c.Now == nil
		}
		amended := journal.Event{ID: id, Account: e.Account, Operation: asked.Operation, A: asked.A, B: asked.B, Micros: e.Micros}
		want := priceOf(&amended, l.config.Start, nil) // of what has no tiers
		return want.amount.Cmp(big.NewInt(int64(c.Now.Amount))) == 0 && len(c.Now.Tiers) == 0
	})
	if !asked {
		l.final.add("unknown ledger entry", "LEDGER %d.%d: nobody asked for %+v of %v", at.sequence, at.index, c.Now, id)
	}
	l.correctTiers(entry.Account, c.Was, -1)
	l.correctTiers(entry.Account, c.Now, 1)
	l.corrections++
}

// correctTiers notes what a correction takes out of a counter, or puts in.
func (l *ledger) correctTiers(account string, d *books.Debit, sign int64) {
	if d == nil {
		return
	}
	for _, t := range d.Tiers {
		amount, err := strconv.ParseInt(t.Amount, 10, 64)
		if err != nil {
			l.final.add("wrong tiers", "a correction of %s counts %q", d.ID, t.Amount)
		}
		c := counter{account, d.Rule, t.Period.UnixMicro()}
		l.late[c] = append(l.late[c], sign*amount)
	}
}

// keyOf is what a command is about.
func keyOf(e *books.Entry) commandKey {
	key := commandKey{kind: e.Kind, account: e.Account}
	switch {
	case e.Grant != nil:
		key.id = e.Grant.ID
	case e.Void != nil:
		key.kind, key.id = "void", e.Void.Grant
	case e.Hold != nil:
		key.id = e.Hold.ID
	case e.Capture != nil:
		key.id = e.Capture.Hold
	case e.Release != nil:
		key.id = e.Release.Hold
	case e.Adjust != nil:
		key.id = e.Adjust.ID
	case e.Decline != nil:
		key.id = e.Decline.TopUp
	case e.Correction != nil:
		id := parseID(e.Correction.Source, e.Correction.ID)
		key.id = fmt.Sprintf("%d/%d", id.Producer, id.Number)
	case e.Plan != nil:
		key.account = e.Plan.Plan
	}
	return key
}

// debit compares a debit with the event it charges.
func (l *ledger) debit(at place, entry *books.Entry) {
	d, amount := entry.Debit, int64(entry.Debit.Amount)
	id := parseID(d.Source, d.ID)
	e := l.log.event(id)
	if e == nil || e.bad != "" {
		l.final.add("unknown debit", "LEDGER %d.%d charges %s %s, which is not to be charged", at.sequence, at.index, d.Source, d.ID)
		return
	}
	l.charged++
	l.charge.Add(l.charge, big.NewInt(amount))
	count(l.charges, entry.Account, 1, amount)
	l.stand(entry.Account, d, 1)
	if e.debits++; e.debits > 1 {
		l.final.add("charged twice", "LEDGER %d.%d charges %v again", at.sequence, at.index, id)
		return
	}
	want := l.price(&e.Event, d)
	work := books.Work{Project: projectOf(id), Key: fmt.Sprintf("k%d-%d", id.Producer, id.Number), Attributes: map[string]string{"region": regionOf(id)}}
	switch {
	case entry.Account != e.Account:
		l.final.add("wrong account charged", "LEDGER %d.%d charges %v to %s; expected %s", at.sequence, at.index, id, entry.Account, e.Account)
	case want.amount.Cmp(big.NewInt(amount)) != 0:
		l.final.add("wrong amount", "LEDGER %d.%d charges %d for %v (%s, %d, %d); expected %s", at.sequence, at.index, amount, id, e.Operation, e.A, e.B, want.amount)
	case want.tiers() != tiersOf(d):
		l.final.add("wrong tiers", "LEDGER %d.%d counts %q for %v; expected %q", at.sequence, at.index, tiersOf(d), id, want.tiers())
	case d.Data.Operation != e.Operation || d.Data.Project != work.Project || d.Data.Key != work.Key || !maps.Equal(d.Data.Attributes, work.Attributes):
		l.final.add("wrong scopes", "LEDGER %d.%d charges %v for %v; expected %v", at.sequence, at.index, id, d.Data, work)
	case d.Time.UnixMicro() != e.Micros:
		l.final.add("wrong copy charged", "LEDGER %d.%d charges %v as of %s; the first copy is of %s", at.sequence, at.index, id, d.Time, time.UnixMicro(e.Micros).UTC())
	case d.Position.Sequence != e.seq || d.Position.Index != e.index:
		l.final.add("wrong copy charged", "LEDGER %d.%d charges %v at USAGE %v; the first copy is at %d.%d", at.sequence, at.index, id, d.Position, e.seq, e.index)
	}
}

// stand notes that a charge stands, or not any more.
func (l *ledger) stand(account string, d *books.Debit, calls int64) {
	if d != nil {
		count(l.standing, account, calls, calls*int64(d.Amount))
		count(l.operations, d.Data.Operation, calls, calls*int64(d.Amount))
	}
}

func count(sums map[string]*sum, key string, calls, uc int64) {
	s := sums[key]
	if s == nil {
		s = &sum{}
		sums[key] = s
	}
	s.count += calls
	s.uc += uc
}

// compare looks for events that are not charged, and adds the spans up.
func (l *ledger) compare(r *Report) {
	r.Ledger, r.Charged, r.Ticks, r.Corrections, r.Accounts, r.Charge = l.through, l.charged, l.ticks, l.corrections, len(l.books.Accounts), l.charge.String()
	for _, events := range l.log.events {
		for i := range events {
			e := &events[i]
			if !e.known || e.bad != "" {
				continue
			}
			r.Events++
			if e.copies > 0 {
				r.Duplicates += e.copies - 1
			}
			switch {
			case e.copies == 0:
				r.Differences.add("event not stored", "%v of %s", e.ID, e.Account)
			case e.debits == 0:
				r.Differences.add("not charged", "%v of %s at USAGE %d.%d", e.ID, e.Account, e.seq, e.index)
			}
		}
	}
	for p, s := range l.spans {
		u := l.usage
		if got, want := s.events, u.copies[p]+u.refused[p]; got != want {
			r.Differences.add("spans do not add up", "partition %d settles %d events; %d are stored", p, got, want)
		}
		if got, want := s.duplicates, u.copies[p]-u.firsts[p]; got != want {
			r.Differences.add("spans do not add up", "partition %d counts %d duplicates; expected %d", p, got, want)
		}
		if got, want := s.rejected, u.refused[p]; got != want {
			r.Differences.add("spans do not add up", "partition %d counts %d dead letters; expected %d", p, got, want)
		}
	}
}
