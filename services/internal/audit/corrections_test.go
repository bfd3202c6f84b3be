package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
)

// stored is a ledger of one partition that is written by hand.
type stored struct {
	t      *testing.T
	append func(subject string, body []byte) (sequence uint64, at time.Time)
}

func (s stored) put(subject string, c events.Chunk) events.LedgerPlace {
	s.t.Helper()
	body, err := events.EncodeChunk(c)
	if err != nil {
		s.t.Fatal(err)
	}
	sequence, at := s.append(subject, body)
	return events.LedgerPlace{Sequence: sequence, StoredAt: at}
}

// charge appends the debit of ada's usage event id.
func (s stored) charge(id string, at uint64) (events.LedgerPlace, *events.Debit) {
	s.t.Helper()
	d := &events.Debit{
		Source: "/s", ID: id, Time: time.Unix(1e9, 0).UTC(), Position: events.Position{Sequence: at, StoredAt: time.Unix(1e9, 0).UTC()},
		Amount: events.Credit, Card: "default", Version: 1, Rule: "all", Arithmetic: "1", Data: events.UsageData{Operation: "GET /"},
	}
	return s.put(events.LedgerSubject(0, events.WriterUsage), events.Chunk{
		Span: &events.Span{Through: d.Position, Events: 1}, Entries: []events.Entry{{Kind: events.EntryDebit, Account: "ada", Debit: d}},
	}), d
}

func (s stored) correct(first, corrects events.LedgerPlace, id string, was, now *events.Debit) events.LedgerPlace {
	s.t.Helper()
	return s.put(events.CorrectionSubject(0, "/s", id), events.Chunk{Entries: []events.Entry{{
		Kind: events.EntryCorrection, Account: "ada", Correction: &events.Correction{Source: "/s", ID: id, First: first, Corrects: corrects, Was: was, Now: now},
	}}})
}

func with(d *events.Debit, change func(*events.Debit)) *events.Debit {
	copied := *d
	change(&copied)
	return &copied
}

func TestEveryCorrectionMustTakeBackWhatStandsAndBeApplied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		correct func(s stored, first events.LedgerPlace, d *events.Debit)
		want    []string
	}{
		"amended, made void, and charged again": {func(s stored, first events.LedgerPlace, d *events.Debit) {
			dearer := with(d, func(d *events.Debit) { d.Amount, d.Data.Operation = 3*events.Credit, "GET /b" })
			second := s.correct(first, first, "1", d, dearer)
			third := s.correct(first, second, "1", dearer, nil)
			s.correct(first, third, "1", nil, d)
		}, nil},
		"another content than the debit has": {func(s stored, first events.LedgerPlace, d *events.Debit) {
			s.correct(first, first, "1", with(d, func(d *events.Debit) { d.Data.Project = "web" }), nil)
		}, []string{"takes back another charge than entry 0 of message 2 makes"}},
		"another amount than the debit has": {func(s stored, first events.LedgerPlace, d *events.Debit) {
			second := s.correct(first, first, "1", d, with(d, func(d *events.Debit) { d.Amount *= 2 }))
			s.correct(first, second, "1", with(d, func(d *events.Debit) { d.Amount *= 2; d.Rule = "other" }), nil)
		}, []string{"in message 4 takes back another charge than entry 0 of message 3 makes"}},
		"what stands no more": {func(s stored, first events.LedgerPlace, d *events.Debit) {
			s.correct(first, first, "1", d, nil)
			s.correct(first, first, "1", d, nil)
		}, []string{"corrects entry 0 of message 2; the event stands by entry 0 of message 3", "is refused (conflict): it charges nothing, and tier counters follow it all the same"}},
		"an entry that was stored at another time": {func(s stored, first events.LedgerPlace, d *events.Debit) {
			s.correct(first, events.LedgerPlace{Sequence: first.Sequence, StoredAt: first.StoredAt.Add(1)}, "1", d, nil)
		}, []string{"corrects entry 0 of message 2, which is none of account ada"}},
		"the debit of another event": {func(s stored, _ events.LedgerPlace, d *events.Debit) {
			other, _ := s.charge("2", 2)
			s.correct(other, other, "1", d, nil)
		}, []string{"takes back another charge than entry 0 of message 3 makes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natstest.Run(t)
			js := server.JetStream()
			streams, broker := server.Installation(1)
			s := stored{t, func(subject string, body []byte) (uint64, time.Time) {
				ack, err := js.Publish(t.Context(), subject, body)
				if err != nil {
					t.Fatal(err)
				}
				m, err := streams.Ledger.GetMsg(t.Context(), ack.Sequence)
				if err != nil {
					t.Fatal(err)
				}
				return ack.Sequence, m.Time
			}}
			s.put(events.LedgerSubject(0, events.WriterCommand), events.Chunk{Entries: []events.Entry{{
				Kind: events.EntryGrant, Account: "ada", Grant: &events.Grant{ID: "g", Amount: 10 * events.Credit},
			}}})
			first, d := s.charge("1", 1)
			c.correct(s, first, d)
			r := &Report{}
			if _, err := readLedger(t.Context(), Config{Broker: broker, Partitions: 1, Progress: func(string, uint64, uint64) {}}, r); err != nil {
				t.Fatal(err)
			}
			if len(r.Differences) != len(c.want) {
				t.Fatalf("differences %+v; want %q", r.Differences, c.want)
			}
			for i, difference := range r.Differences {
				if !strings.HasSuffix(difference.Detail, c.want[i]) {
					t.Errorf("difference %q; want one that ends with %q", difference.Detail, c.want[i])
				}
			}
		})
	}
}
