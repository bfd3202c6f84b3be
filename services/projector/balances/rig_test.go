package balances_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// partitions of the tests' installations.
const partitions = 2

// rig is an installation without gateway and rater: the tests write the ledger.
type rig struct {
	t       testing.TB
	server  *natstest.Server
	nc      *nats.Conn
	js      jetstream.JetStream
	streams *stream.Streams
	usage   atomic.Uint64
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, server: natstest.Run(t)}
	r.nc = r.server.Connect()
	var err error
	if r.js, err = jetstream.New(r.nc); err != nil {
		t.Fatal(err)
	}
	if r.streams, err = stream.Ensure(t.Context(), r.js, stream.Config{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	return r
}

// accountsOf names the first n accounts of a partition.
func accountsOf(partition, n int) []string {
	var accounts []string
	for i := 0; len(accounts) < n; i++ {
		if account := fmt.Sprintf("account-%d", i); events.Partition(account, partitions) == partition {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// accountOf names the i-th account of a partition.
func accountOf(partition, i int) string { return accountsOf(partition, i+1)[i] }

// start runs a projector of its own connection until stop, or the test's end.
func (r *rig) start(change ...func(*balances.Config)) (p *balances.Projector, stop func()) {
	r.t.Helper()
	nc := r.server.Connect()
	broker, err := stream.NewBroker(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	c := balances.Config{Broker: broker, Partitions: partitions}
	for _, f := range change {
		f(&c)
	}
	if p, err = balances.New(c); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
		nc.Close()
	}
	r.t.Cleanup(stop)
	return p, stop
}

// append writes a chunk to the ledger, answered on reply if that is not empty.
func (r *rig) append(subject, reply string, chunk events.Chunk) uint64 {
	r.t.Helper()
	body, err := events.EncodeChunk(chunk)
	if err != nil {
		r.t.Fatal(err)
	}
	m := nats.NewMsg(subject)
	m.Data = body
	if reply != "" {
		m.Header.Set(events.HeaderReply, reply)
	}
	id := nats.NewInbox() // so that a message whose answer was lost is stored once
	for tries := 1; ; tries++ {
		ack, err := r.js.PublishMsg(r.t.Context(), m, jetstream.WithRetryAttempts(50), jetstream.WithMsgID(id))
		if err == nil {
			return ack.Sequence
		}
		if tries == publishTries || !errors.Is(err, context.DeadlineExceeded) {
			r.t.Fatal(err)
		}
	}
}

// publishTries bounds how often a message is published: one that is under way
// when the server restarts gets no answer.
const publishTries = 5

// command appends one command.
func (r *rig) command(e events.Entry) uint64 {
	r.t.Helper()
	return r.append(subjectOf(e), "", events.Chunk{Entries: []events.Entry{e}})
}

func subjectOf(e events.Entry) string {
	if e.Account == "" {
		return events.BroadcastSubject()
	}
	return events.LedgerSubject(events.Partition(e.Account, partitions), events.WriterCommand)
}

// ask appends one command and waits for its decision.
func (r *rig) ask(e events.Entry) events.Decision {
	r.t.Helper()
	inbox := nats.NewInbox()
	answers, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	r.append(subjectOf(e), inbox, events.Chunk{Entries: []events.Entry{e}})
	m, err := answers.NextMsgWithContext(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return decode[events.Decision](r.t, m.Data)
}

// debits appends one rater's chunk that charges each account 1 credit.
func (r *rig) debits(partition int, accounts ...string) uint64 {
	r.t.Helper()
	return r.append(events.LedgerSubject(partition, events.WriterUsage), "", r.chunk(accounts...))
}

func (r *rig) chunk(accounts ...string) events.Chunk {
	c := events.Chunk{Span: &events.Span{Events: len(accounts)}}
	for _, account := range accounts {
		n := r.usage.Add(1)
		at := events.Position{Sequence: n}
		c.Span.Through = at
		c.Entries = append(c.Entries, events.Entry{Kind: events.EntryDebit, Account: account, Debit: &events.Debit{
			Source: "/test", ID: fmt.Sprint(n), Data: events.UsageData{Operation: "GET /"}, Position: at,
			Amount: events.Credit, Card: events.DefaultCard, Version: 1, Rule: "all", Arithmetic: "1",
		}})
	}
	return c
}

func grant(account, id, amount string) events.Entry {
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &events.Grant{ID: id, Amount: events.MustCredits(amount)}}
}

// replay folds the whole ledger anew, as one.
func (r *rig) replay() *ledger.State {
	r.t.Helper()
	state := ledger.New()
	s, err := r.js.Stream(r.t.Context(), events.StreamLedger)
	if err != nil {
		r.t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(r.t.Context(), seq)
		if err != nil {
			r.t.Fatal(err)
		}
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			continue
		}
		for i, e := range chunk.Entries {
			state.Apply(ledger.Point{Sequence: seq, Index: i, Time: m.Time}, e, nil)
		}
	}
	return state
}

// await waits until key holds a value that accept takes.
func (r *rig) await(kv jetstream.KeyValue, key string, accept func(jetstream.KeyValueEntry) bool) {
	r.t.Helper()
	if entry, err := kv.Get(r.t.Context(), key); err == nil && accept(entry) {
		return
	}
	watch, err := kv.Watch(r.t.Context(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case entry := <-watch.Updates():
			if entry != nil && accept(entry) {
				return
			}
		case <-r.t.Context().Done():
			r.t.Fatalf("%s of %s never became as expected", key, kv.Bucket())
		}
	}
}

// awaitBalance waits for a balance that accept takes.
func (r *rig) awaitBalance(account string, accept func(events.Balance) bool) events.Balance {
	r.t.Helper()
	var b events.Balance
	r.await(r.streams.Balances, account, func(e jetstream.KeyValueEntry) bool {
		if len(e.Value()) == 0 || json.Unmarshal(e.Value(), &b) != nil {
			return false
		}
		return accept(b)
	})
	return b
}

// agree waits until BALANCES shows the ledger's last entry of each account, and
// compares with a replay.
func (r *rig) agree() {
	r.t.Helper()
	state := r.replay()
	for account := range state.Accounts() {
		want, _ := state.Balance(account)
		got := r.awaitBalance(account, func(b events.Balance) bool { return b.Sequence == want.Sequence && b.Index == want.Index })
		if diff := cmp.Diff(want, got); diff != "" {
			r.t.Errorf("balance of %s (-replay +bucket):\n%s", account, diff)
		}
	}
}

// awaitStatus waits for what p says of itself; nothing announces it.
func (r *rig) awaitStatus(p *balances.Projector, accept func([]balances.Status) bool) {
	r.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !accept(p.Status()) {
		select {
		case <-ticker.C:
		case <-r.t.Context().Done():
			r.t.Fatalf("status never became as expected: %+v", p.Status())
		}
	}
}

func (r *rig) awaitReady(p *balances.Projector) {
	r.t.Helper()
	r.awaitStatus(p, func([]balances.Status) bool { return p.Ready() })
}

func decode[T any](t testing.TB, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	return v
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
