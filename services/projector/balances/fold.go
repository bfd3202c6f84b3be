package balances

import (
	"fmt"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
	"github.com/go-json-experiment/json"
)

// broadcaster is the partition that shows plans and rate cards and answers
// commands about them. Every partition folds them.
const broadcaster = 0

// fold is one partition's state and what is to be written and answered of it.
type fold struct {
	number, partitions int

	state    *ledger.State
	mark     stream.Mark // the last LEDGER message folded
	postings []ledger.Posting

	ticked  uint64 // the partition's last message of the clock
	entries uint64 // folded by this process

	answerSince time.Time // commands stored later are answered; zero until begun

	touched     map[string]struct{} // accounts
	touchedKeys map[string]struct{} // of the catalog
	places      map[string]place    // of the partition's catalog keys
	replies     []reply
}

// repliesMax bounds the answers that wait for the buckets. Only a partition that
// is being gained has so many, and then it is the oldest that nobody waits for.
const repliesMax = 4096

// reply is the answer to a command.
type reply struct {
	subject string
	body    []byte
}

func newFold(number, partitions int) *fold {
	return &fold{
		number: number, partitions: partitions, state: ledger.New(),
		touched: map[string]struct{}{}, touchedKeys: map[string]struct{}{}, places: map[string]place{},
	}
}

// begin notes, once, since when commands are answered: for an answer to an
// older one nobody waits. To answer one twice is harmless, because the subject
// was made for one answer.
func (f *fold) begin(since time.Time) {
	if f.answerSince.IsZero() {
		f.answerSince = since
	}
}

// unreadableError is a LEDGER message that no writer of the ledger appends.
type unreadableError struct {
	subject  string
	sequence uint64
	err      error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("fold ledger message %d on %s: %v", e.sequence, e.subject, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

// message folds m. It folds nothing of a message it refuses.
func (f *fold) message(m stream.Message) error {
	if m.Sequence <= f.mark.Sequence {
		return nil
	}
	chunk, err := events.DecodeChunk(m.Data)
	if err == nil {
		err = events.CheckOrigin(m.Subject, chunk, f.partitions)
	}
	if err != nil {
		return &unreadableError{subject: m.Subject, sequence: m.Sequence, err: err}
	}
	var decision events.Decision
	for i := range chunk.Entries {
		e := &chunk.Entries[i]
		point := ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}
		decision, f.postings = f.state.Apply(point, *e, f.postings[:0])
		f.note(e, decision, place{sequence: m.Sequence, index: i, at: m.Time.UnixMicro()})
	}
	f.mark = stream.MarkOf(m)
	f.entries += uint64(len(chunk.Entries))
	if m.Subject == events.LedgerSubject(f.number, events.WriterClock) {
		f.ticked = m.Sequence
	}
	if len(chunk.Entries) == 0 {
		return nil
	}
	return f.prepareReply(m, chunk.Entries[len(chunk.Entries)-1].Account, decision)
}

// note remembers what an entry touched.
func (f *fold) note(e *events.Entry, d events.Decision, at place) {
	if e.Account != "" {
		f.touched[e.Account] = struct{}{}
	}
	// Settings that waited take effect with whatever entry comes next.
	changed := slices.ContainsFunc(f.postings, func(p ledger.Posting) bool { return p.Kind == ledger.PostingChange })
	if d.Outcome != events.Applied && !changed {
		return
	}
	key := ""
	switch {
	case e.Kind == events.EntryAccount, changed:
		key = events.CatalogAccount + e.Account
	case f.number != broadcaster:
	case e.Kind == events.EntryPlan:
		key = events.CatalogPlan + e.Plan.Plan
	case e.Kind == events.EntryRateCard:
		key = fmt.Sprintf("%s%s.%d", events.CatalogRateCard, e.RateCard.Card, d.Version)
	}
	if key != "" {
		f.places[key] = at
		f.touchedKeys[key] = struct{}{}
	}
}

// prepareReply encodes the answer to a command as things stand behind it.
func (f *fold) prepareReply(m stream.Message, account string, d events.Decision) error {
	to := m.Header.Get(events.HeaderReply)
	if to == "" || !m.Time.After(f.answerSince) || account == "" && f.number != broadcaster {
		return nil
	}
	if b, ok := f.state.Balance(account); ok {
		d.Balance = &b
	}
	body, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode the decision on ledger message %d: %w", m.Sequence, err)
	}
	if len(f.replies) == repliesMax {
		f.replies = f.replies[1:]
	}
	f.replies = append(f.replies, reply{subject: to, body: body})
	return nil
}

// balancePuts encodes the balances of accounts.
func (f *fold) balancePuts(accounts []string) ([]put, error) {
	puts := make([]put, 0, len(accounts))
	for _, account := range accounts {
		b, ok := f.state.Balance(account)
		if !ok {
			continue
		}
		value, err := json.Marshal(b, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode the balance of %s: %w", account, err)
		}
		puts = append(puts, put{key: account, value: value, place: place{sequence: b.Sequence, index: b.Index, at: b.At.UnixMicro()}})
	}
	return puts, nil
}

// settle forgets what was touched, once it is written.
func (f *fold) settle() {
	clear(f.touched)
	clear(f.touchedKeys)
}

// sortedKeys returns the keys of a set in order.
func sortedKeys(set map[string]struct{}) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
