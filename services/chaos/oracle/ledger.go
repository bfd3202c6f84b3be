package oracle

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// chunk is a LEDGER message, as far as the oracle is concerned.
type chunk struct {
	Span *struct {
		Through struct {
			Sequence uint64 `json:"sequence"`
			Index    int    `json:"index"`
		} `json:"through"`
		Events     int `json:"events"`
		Duplicates int `json:"duplicates"`
		Rejected   int `json:"rejected"`
	} `json:"span"`
	Entries []entry `json:"entries"`
}

type entry struct {
	Kind    string `json:"kind"`
	Account string `json:"account"`
	Debit   *struct {
		Source   string    `json:"source"`
		ID       string    `json:"id"`
		Time     time.Time `json:"time"`
		Amount   string    `json:"amount"`
		Position struct {
			Sequence uint64 `json:"sequence"`
			Index    int    `json:"index"`
		} `json:"position"`
	} `json:"debit"`
	Grant *struct {
		ID          string    `json:"id"`
		Amount      string    `json:"amount"`
		Priority    *int      `json:"priority"`
		EffectiveAt time.Time `json:"effective_at"`
		ExpiresAt   time.Time `json:"expires_at"`
	} `json:"grant"`
	Void *struct {
		Grant string `json:"grant"`
	} `json:"void"`
}

// ledger is what is stored in LEDGER.
type ledger struct {
	*Oracle
	through    uint64
	spans      []span // by partition
	accounts   map[string]*account
	operations map[string]*sum // charges by operation
	charged    int
	charge     *big.Int
	ticks      int
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
	return &ledger{
		Oracle: o, spans: make([]span, o.config.Partitions), accounts: map[string]*account{},
		operations: map[string]*sum{}, charge: new(big.Int),
	}
}

func (l *ledger) take(m message) error {
	var c chunk
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
		if err := l.entry(m, partition, index, &c.Entries[index]); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) entry(m message, partition, index int, e *entry) error {
	if e.Kind == "plan" || e.Kind == "rate_card" {
		return nil
	}
	a := l.accounts[e.Account]
	if a == nil {
		a = newAccount(e.Account)
		l.accounts[e.Account] = a
	}
	at := place{m.sequence, index}
	a.pass(at, m.time)
	switch {
	case e.Kind == "debit" && e.Debit != nil:
		amount, err := micro(e.Debit.Amount)
		if err != nil {
			return err
		}
		l.debit(at, e, amount)
		a.debit(amount)
	case e.Kind == "grant" && e.Grant != nil:
		amount, err := micro(e.Grant.Amount)
		if err != nil {
			return err
		}
		priority := 100
		if e.Grant.Priority != nil {
			priority = *e.Grant.Priority
		}
		if _, asked := l.log.grants[grantKey{e.Account, e.Grant.ID}]; !asked {
			l.final.add("unknown ledger entry", "LEDGER %d: nobody asked for grant %s of %s", at.sequence, e.Grant.ID, e.Account)
		}
		a.grant(e.Grant.ID, amount, priority, e.Grant.EffectiveAt, e.Grant.ExpiresAt)
	case e.Kind == "void" && e.Void != nil:
		a.void(e.Void.Grant)
	case e.Kind == "tick":
		l.ticks++
	default:
		l.final.add("unknown ledger entry", "LEDGER %d.%d: kind %s", at.sequence, index, e.Kind)
	}
	a.evaluate()
	return nil
}

// debit compares a debit with the event it charges.
func (l *ledger) debit(at place, entry *entry, amount int64) {
	d := entry.Debit
	id := parseID(d.Source, d.ID)
	e := l.log.event(id)
	if e == nil || e.bad != "" {
		l.final.add("unknown debit", "LEDGER %d.%d charges %s %s, which is not to be charged", at.sequence, at.index, d.Source, d.ID)
		return
	}
	l.charged++
	l.charge.Add(l.charge, big.NewInt(amount))
	count(l.operations, e.Operation, amount)
	if e.debits++; e.debits > 1 {
		l.final.add("charged twice", "LEDGER %d.%d charges %v again", at.sequence, at.index, id)
		return
	}
	want := priceOf(&e.Event, l.config.Start)
	switch {
	case entry.Account != e.Account:
		l.final.add("wrong account charged", "LEDGER %d.%d charges %v to %s; expected %s", at.sequence, at.index, id, entry.Account, e.Account)
	case want.Cmp(big.NewInt(amount)) != 0:
		l.final.add("wrong amount", "LEDGER %d.%d charges %d for %v (%s, %d, %d); expected %s", at.sequence, at.index, amount, id, e.Operation, e.A, e.B, want)
	case d.Time.UnixMicro() != e.Micros:
		l.final.add("wrong copy charged", "LEDGER %d.%d charges %v as of %s; the first copy is of %s", at.sequence, at.index, id, d.Time, time.UnixMicro(e.Micros).UTC())
	case d.Position.Sequence != e.seq || d.Position.Index != e.index:
		l.final.add("wrong copy charged", "LEDGER %d.%d charges %v at USAGE %v; the first copy is at %d.%d", at.sequence, at.index, id, d.Position, e.seq, e.index)
	}
}

func count(sums map[string]*sum, key string, uc int64) {
	s := sums[key]
	if s == nil {
		s = &sum{}
		sums[key] = s
	}
	s.count++
	s.uc += uc
}

// micro reads credits as micro-credits.
func micro(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil || len(fraction) > 6 {
		return 0, fmt.Errorf("found %q; expected credits", text)
	}
	return n, nil
}

// compare looks for events that are not charged, and adds the spans up.
func (l *ledger) compare(r *Report) {
	r.Ledger, r.Charged, r.Ticks, r.Accounts, r.Charge = l.through, l.charged, l.ticks, len(l.accounts), l.charge.String()
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
