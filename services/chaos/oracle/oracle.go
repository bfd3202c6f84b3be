// Package oracle decides, from outside, whether a run kept every promise: from
// the producers' journal and from what stands in the streams, the bucket of
// balances and ClickHouse at the end. It uses none of the product's code: it
// has its own reading of the messages, its own prices, its own fold.
//
// It demands that
//
//   - every acknowledged message is stored as it was sent, and nothing else is;
//   - of every stored event that may be charged the first copy is charged once,
//     with the amount the oracle computes, and no other copy is;
//   - every stored event that may not be is dead-lettered once per copy, with
//     the right reason and byte for byte;
//   - tiers count every event once, in the order of the ledger;
//   - every command in the ledger was given, and every answer is what the books
//     make of it at its place;
//   - every balance equals the oracle's own fold of the ledger (package books), in its order;
//   - signals tell every account's transitions in order, each once, and stand
//     where the balance does;
//   - ClickHouse, raw and rolled up, has the ledger's counts and sums.
package oracle

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// Config says where everything is.
type Config struct {
	Journal    string // file
	JetStream  jetstream.JetStream
	ClickHouse string // URL that takes queries
	Partitions int
	Start      time.Time // of the run, which prices depend on
}

// examplesMax bounds the examples of one kind of difference.
const examplesMax = 5

// Differences are what is wrong, by kind.
type Differences struct {
	Count    int                 `json:"count"`
	Examples map[string][]string `json:"examples,omitempty"` // by kind, with its count
	counts   map[string]int
}

func newDifferences() *Differences {
	return &Differences{Examples: map[string][]string{}, counts: map[string]int{}}
}

func (d *Differences) add(kind, format string, args ...any) {
	d.Count++
	d.counts[kind]++
	if len(d.Examples[kind]) < examplesMax {
		d.Examples[kind] = append(d.Examples[kind], fmt.Sprintf(format, args...))
	}
}

func (d *Differences) merge(other *Differences) {
	d.Count += other.Count
	for kind, n := range other.counts {
		d.counts[kind] += n
		d.Examples[kind] = append(d.Examples[kind], other.Examples[kind]...)
	}
}

// String lists the differences, a kind and its examples at a time.
func (d *Differences) String() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(d.counts)) {
		fmt.Fprintf(&b, "%s: %d\n", kind, d.counts[kind])
		for _, example := range d.Examples[kind] {
			fmt.Fprintf(&b, "    %s\n", example)
		}
	}
	return b.String()
}

// Report is what an audit found.
type Report struct {
	Events      int          `json:"events"`       // distinct, that may be charged
	Charged     int          `json:"charged"`      // of those
	Duplicates  int          `json:"duplicates"`   // further stored copies of those
	Refused     int          `json:"refused"`      // stored copies of events that may not be
	DeadLetters int          `json:"dead_letters"` // of those
	Corrections int          `json:"corrections"`
	TopUps      int          `json:"topups"` // requested, of the signals
	Commands    int          `json:"commands"`
	Answers     int          `json:"answers"`
	Accounts    int          `json:"accounts"`
	Signals     int          `json:"signals"`
	Exhausted   int          `json:"exhausted"` // of the signals
	Budgets     int          `json:"budgets"`   // of the signals, exceeded or restored
	Stored      int          `json:"stored_messages"`
	Ledger      uint64       `json:"ledger_messages"`
	Ticks       int          `json:"ticks"`
	Charge      string       `json:"charged_credits"`
	Differences *Differences `json:"differences"`
	// Waiting says that something is missing that may still come.
	Waiting bool `json:"-"`
}

// Unexplained adds accounts of which no order of requests explains what was
// answered about their holds.
func (r *Report) Unexplained(accounts []string) {
	for _, account := range accounts {
		r.Differences.add("holds not linearizable", "no order of the requests about %s explains their answers", account)
	}
}

// Oracle audits one run. It reads the streams once, however often it is asked.
type Oracle struct {
	config Config
	log    *record
	usage  *usage
	ledger *ledger
	letter *letters
	told   map[string]*told // by account, as of the last audit

	final *Differences // that time cannot mend
}

// New reads the journal.
func New(c Config) (*Oracle, error) {
	log, err := readJournal(c.Journal)
	if err != nil {
		return nil, err
	}
	o := &Oracle{config: c, log: log, final: newDifferences()}
	o.usage = newUsage(o)
	o.ledger = newLedger(o)
	o.letter = newLetters(o)
	return o, nil
}

// Audit compares everything as it stands now. Producers must have ended. What
// is only missing may be late: ask again.
func (o *Oracle) Audit(ctx context.Context) (*Report, error) {
	if err := o.read(ctx, "USAGE", &o.usage.through, o.usage.take); err != nil {
		return nil, err
	}
	if err := o.read(ctx, "DEADLETTER", &o.letter.through, o.letter.take); err != nil {
		return nil, err
	}
	if err := o.read(ctx, "LEDGER", &o.ledger.through, o.ledger.take); err != nil {
		return nil, err
	}
	r := &Report{Differences: newDifferences()}
	r.Differences.merge(o.final)
	o.usage.compare(r)
	o.ledger.compare(r)
	o.letter.compare(r)
	o.compareAnswers(r)
	for _, step := range []func(context.Context, *Report) error{o.compareBalances, o.compareSignals, o.compareClickHouse} {
		if err := step(ctx, r); err != nil {
			return nil, err
		}
	}
	r.Waiting = r.Differences.Count > o.final.Count
	return r, nil
}

// message is one stored message.
type message struct {
	sequence uint64
	subject  string
	header   map[string][]string
	data     []byte
	time     time.Time
}

// read calls take with each message of a stream after through, up to its
// present end.
func (o *Oracle) read(ctx context.Context, name string, through *uint64, take func(message) error) error {
	s, err := o.config.JetStream.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", name, err)
	}
	end := s.CachedInfo().State.LastSeq
	if end <= *through {
		return nil
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: *through + 1,
	})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for *through < end {
		m, err := messages.Next()
		if err != nil {
			return fmt.Errorf("read stream %s at %d: %w", name, *through, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read stream %s at %d: %w", name, *through, err)
		}
		*through = meta.Sequence.Stream
		if err := take(message{meta.Sequence.Stream, m.Subject(), m.Headers(), m.Data(), meta.Timestamp}); err != nil {
			return fmt.Errorf("stream %s at %d: %w", name, *through, err)
		}
	}
	return nil
}

// query asks ClickHouse and calls row with the fields of each row.
func (o *Oracle) query(ctx context.Context, sql string, row func([]string)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.config.ClickHouse, strings.NewReader(sql))
	if err != nil {
		return fmt.Errorf("make a query: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("query ClickHouse: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("query ClickHouse: %s: status %d: %s (%w)", sql, answer.StatusCode, text, err)
	}
	for line := range strings.Lines(string(text)) {
		row(strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return nil
}

// record is what the journal says.
type record struct {
	events   map[int][]expected // by producer and number
	messages map[uint64]journal.Message
	acks     map[uint64]uint64 // hash of a body by its sequence
	posted   []journal.Post
	asked    map[commandKey][]int64 // amounts
	settings map[string]journal.Settings
	corrects map[journal.ID][]journal.Correction
	answers  []journal.Answer
	accounts map[string]string // one string for each
}

// commandKey is what a command is about.
type commandKey struct{ kind, account, id string }

// expected is one event.
type expected struct {
	journal.Event
	bad    string // reason, for one that may not be charged
	known  bool
	seq    uint64 // of the first stored copy
	index  int
	copies int
	debits int
}

func readJournal(path string) (*record, error) {
	r := &record{
		events: map[int][]expected{}, messages: map[uint64]journal.Message{}, acks: map[uint64]uint64{},
		asked: map[commandKey][]int64{}, settings: map[string]journal.Settings{}, corrects: map[journal.ID][]journal.Correction{}, accounts: map[string]string{},
	}
	return r, journal.Read(path, func(line any) error {
		switch l := line.(type) {
		case journal.Event:
			l.Account, l.Operation = r.intern(l.Account), r.intern(l.Operation)
			*r.slot(l.ID) = expected{Event: l, known: true}
		case journal.Bad:
			*r.slot(l.ID) = expected{Event: journal.Event{ID: l.ID}, bad: r.intern(l.Reason), known: true}
		case journal.Message:
			r.messages[l.Hash] = l
		case journal.Ack:
			if other, twice := r.acks[l.Sequence]; twice && other != l.Hash {
				return fmt.Errorf("two messages were acknowledged at sequence %d", l.Sequence)
			}
			r.acks[l.Sequence] = l.Hash
		case journal.Post:
			r.posted = append(r.posted, l)
		case journal.Grant:
			r.ask(commandKey{"grant", l.Account, l.ID}, l.Amount)
			r.ask(commandKey{"void", l.Account, l.ID}, 0) // every grant may be voided
		case journal.Command:
			r.ask(commandKey{l.Kind, l.Account, l.ID}, l.Amount)
		case journal.Correction:
			r.corrects[l.ID] = append(r.corrects[l.ID], l)
		case journal.Settings:
			r.settings[l.Account] = l
		case journal.Answer:
			r.answers = append(r.answers, l)
		}
		return nil
	})
}

func (r *record) ask(key commandKey, amount int64) { r.asked[key] = append(r.asked[key], amount) }

func (r *record) intern(s string) string {
	if known, ok := r.accounts[s]; ok {
		return known
	}
	r.accounts[s] = s
	return s
}

// slot returns the place of an event, which may be new.
func (r *record) slot(id journal.ID) *expected {
	for len(r.events[id.Producer]) <= id.Number {
		r.events[id.Producer] = append(r.events[id.Producer], expected{})
	}
	return &r.events[id.Producer][id.Number]
}

// event returns a known event, or nil.
func (r *record) event(id journal.ID) *expected {
	if all := r.events[id.Producer]; id.Number >= 0 && id.Number < len(all) && all[id.Number].known {
		return &all[id.Number]
	}
	return nil
}
