package retroactive_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/retroactive"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// rig is a ledger of one partition on a simulated broker, in which everything
// costs 1 and is to cost 2, and its fold.
type rig struct {
	*testing.T
	server *simulated.Server
	config retroactive.Config
	fold   *ledger.State
	folded uint64
	spoil  func(d events.Decision, err error) (events.Decision, error) // an answer; nil does not
}

func newRig(t *testing.T, network *simulated.Network) *rig {
	r := &rig{T: t, server: network.Server, fold: ledger.New()}
	r.server.Install(1)
	doubled := rerate.Version{Card: events.RateCard{Card: "default", Version: 2}, Rate: func(events.Usage, simulate.Context) (simulate.Charge, error) {
		return simulate.Charge{Amount: 2 * events.Credit, Rule: "all", Arithmetic: "2"}, nil
	}}
	broker := network.Connect("gateway")
	r.config = retroactive.Config{
		Ledger: past.Ledger{Broker: broker, Partitions: 1}, Decide: r.decide, Card: "default", Reason: "version 2",
		Rerate: rerate.Config{At: rerate.NewBook(doubled).At}, Refresh: func(context.Context) error { return nil }, MaxAhead: time.Minute,
	}
	return r
}

func (r *rig) append(subject string, header nats.Header, fence *stream.Fence, entries ...events.Entry) (uint64, error) {
	c := events.Chunk{Entries: entries}
	if entries[0].Debit != nil {
		c.Span = &events.Span{Through: entries[0].Debit.Position, Events: len(entries)}
	}
	body, err := events.EncodeChunk(c)
	if err != nil {
		r.Fatal(err)
	}
	return r.server.Append(events.StreamLedger, stream.Append{Subject: subject, Header: header, Data: body, Fence: fence})
}

// charge appends the debit of an event, as a rater does that knows version 1.
func (r *rig) charge(id string) {
	at := events.Position{Sequence: r.server.Last(events.StreamLedger) + 1, StoredAt: time.Now()}
	_, err := r.append(events.LedgerSubject(0, events.WriterUsage), nil, nil, events.Entry{Kind: events.EntryDebit, Account: "acme", Debit: &events.Debit{
		Source: "/api", ID: id, Time: time.Now().UTC(), Data: events.UsageData{Operation: "GET /"}, Position: at, Amount: events.Credit,
		Card: "default", Version: 1, Rule: "all", Arithmetic: "1",
	}})
	if err != nil {
		r.Fatal(err)
	}
}

// decide appends a correction and folds the ledger up to it.
func (r *rig) decide(_ context.Context, e events.Entry, subject string, last uint64) (d events.Decision, err error) {
	if _, err := r.append(subject, nil, &stream.Fence{Sequence: last}, e); err != nil {
		return d, err
	}
	for _, m := range r.server.Messages(events.StreamLedger)[r.folded:] {
		c, err := events.DecodeChunk(m.Data)
		if err != nil {
			return d, err
		}
		for i, e := range c.Entries {
			d, _ = r.fold.Apply(ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, e, nil)
		}
		r.folded = m.Sequence
	}
	if r.spoil != nil {
		return r.spoil(d, nil)
	}
	return d, nil
}

// void makes an event void, as another gateway does.
func (r *rig) void(id string) {
	for _, m := range r.server.Messages(events.StreamLedger) {
		c, err := events.DecodeChunk(m.Data)
		if err != nil {
			r.Fatal(err)
		}
		d := c.Entries[0].Debit
		if d == nil || d.ID != id {
			continue
		}
		at := events.LedgerPlace{Sequence: m.Sequence, StoredAt: m.Time}
		e := events.Entry{Kind: events.EntryCorrection, Account: "acme", Correction: &events.Correction{Source: d.Source, ID: id, First: at, Corrects: at, Was: d, Reason: "void"}}
		if _, err := r.append(events.CorrectionSubject(0, d.Source, id), nil, nil, e); err != nil {
			r.Fatal(err)
		}
	}
}

func TestUsageIsAmendedWhateverComesBetween(t *testing.T) {
	t.Parallel()
	lost := errors.New("the answer is lost")
	for name, tc := range map[string]struct {
		set  func(r *rig)
		want string // amended, kept, void at the time, messages of the ledger, charged in all
	}{
		"nothing": {func(*rig) {}, "2 amended, 0 kept; 4 messages; 4 charged"},
		"an event that was rated by an older version": {func(r *rig) {
			r.config.Refresh = once(func() { r.charge("late") })
		}, "3 amended, 0 kept; 6 messages; 6 charged"},
		"a void": {func(r *rig) {
			r.config.Refresh = once(func() { r.void("a") })
		}, "1 amended, 0 kept; 4 messages; 2 charged"},
		"a void before": {func(r *rig) { r.void("a") }, "1 amended, 0 kept; 4 messages; 2 charged"},
		"a lost answer": {func(r *rig) {
			r.spoil = func(d events.Decision, err error) (events.Decision, error) {
				r.spoil = nil
				return events.Decision{}, lost
			}
		}, "2 amended, 0 kept; 4 messages; 4 charged"},
		"a refusal": {func(r *rig) {
			r.spoil = func(d events.Decision, err error) (events.Decision, error) {
				r.spoil = nil
				return d, &retroactive.RefusedError{Code: events.RefusedOverflow, Detail: "too much"}
			}
		}, "1 amended, 1 kept: a too much; 4 messages; 4 charged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := simulated.NewNetwork(simulated.NewServer())
				r := newRig(t, network)
				r.charge("a")
				r.charge("b")
				tc.set(r)
				ctx, stop := context.WithCancel(t.Context())
				served := make(chan struct{})
				go func() { network.Serve(ctx); close(served) }()
				report, err := retroactive.Run(ctx, r.config, nil)
				if err != nil {
					t.Error(err)
				}
				kept := ""
				for _, k := range report.Examples {
					kept += ": " + k.ID + " " + k.Reason
				}
				balance, _ := r.fold.Balance("acme")
				told := fmt.Sprintf("%d amended, %d kept%s; %d messages; %s charged", report.Amended, report.Kept, kept, r.server.Last(events.StreamLedger), balance.Charged)
				if told != tc.want {
					t.Errorf("told %s; want %s", told, tc.want)
				}
				stop()
				<-served
			})
		})
	}
}

// once is a Refresh that does something the first time.
func once(do func()) func(context.Context) error {
	done := false
	return func(context.Context) error {
		if !done {
			done = true
			do()
		}
		return nil
	}
}
