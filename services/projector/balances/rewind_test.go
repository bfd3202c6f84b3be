package balances_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// bubble is an installation on a simulated broker, whose streams can lose their
// end. It lives in a bubble of synctest.
type bubble struct {
	*testing.T
	mu        sync.Mutex // of server
	server    *simulated.Server
	network   *simulated.Network
	snapshots snapshot.Memory
	client    *simulated.Client // the last projector's
	stop      func()
}

// inBubble runs test in a bubble.
func inBubble(t *testing.T, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := simulated.NewServer()
		server.Install(partitions)
		b := &bubble{T: t, server: server, network: simulated.NewNetwork(server)}
		ctx, stop := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { b.serve(ctx) })
		defer serving.Wait()
		defer stop()
		test(b)
	})
}

// serve lets everything happen, in order, until ctx ends.
func (b *bubble) serve(ctx context.Context) {
	for ctx.Err() == nil {
		synctest.Wait()
		b.mu.Lock()
		stepped := b.network.Step()
		b.mu.Unlock()
		if !stepped {
			<-time.After(time.Millisecond)
		}
	}
}

// append appends a message to a stream.
func (b *bubble) append(name string, a stream.Append) uint64 {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	sequence, err := b.server.Append(name, a)
	if err != nil {
		b.Fatal(err)
	}
	return sequence
}

func (b *bubble) messages(name string) []stream.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server.Messages(name)
}

func (b *bubble) last(name string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server.Last(name)
}

func (b *bubble) rewind(name string, end uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server.Rewind(name, end)
}

// start runs a projector until stop.
func (b *bubble) start() (p *balances.Projector, stop func()) {
	b.Helper()
	b.client = b.network.Connect("projector")
	p, err := balances.New(balances.Config{
		Broker: b.client, Partitions: partitions, Snapshots: &b.snapshots, Installation: "one",
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	return p, func() { cancel(); running.Wait() }
}

// await waits, by the bubble's clock, until is.
func (b *bubble) await(is func() bool) {
	b.Helper()
	for tries := 0; !is(); tries++ {
		if tries == 100_000 {
			b.Fatal("waited in vain")
		}
		<-time.After(time.Millisecond)
	}
}

// grant appends a grant of an account.
func (b *bubble) grant(account, id string) uint64 {
	b.Helper()
	e := grant(account, id, "1")
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{e}})
	if err != nil {
		b.Fatal(err)
	}
	return b.append(events.StreamLedger, stream.Append{Subject: subjectOf(e), Data: body})
}

// put writes a balance as if a projector had.
func (b *bubble) put(account string, header nats.Header, value string) {
	b.Helper()
	b.append("KV_"+events.BucketBalances, stream.Append{
		Subject: "$KV." + events.BucketBalances + "." + account, Header: header, Data: []byte(value),
	})
}

// held is what BALANCES holds.
func (b *bubble) held() map[string]string {
	held := map[string]string{}
	for _, m := range b.messages("KV_" + events.BucketBalances) {
		if m.Header.Get("KV-Operation") == "" {
			held[strings.TrimPrefix(m.Subject, "$KV."+events.BucketBalances+".")] = string(m.Data)
		}
	}
	return held
}

// folded is what it is to hold.
func (b *bubble) folded() map[string]string {
	b.Helper()
	state, folded := ledger.New(), map[string]string{}
	for _, m := range b.messages(events.StreamLedger) {
		chunk, err := events.DecodeChunk(m.Data)
		if err != nil {
			b.Fatal(err)
		}
		for i, e := range chunk.Entries {
			state.Apply(ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, e, nil)
		}
	}
	for account := range state.Accounts() {
		balance, _ := state.Balance(account)
		folded[account] = encode(b.T, balance)
	}
	return folded
}

func (b *bubble) awaitEqual() {
	b.Helper()
	b.await(func() bool { return len(b.held()) >= len(b.folded()) && cmp.Equal(b.folded(), b.held()) })
}

func (b *bubble) rebuild() balances.Report {
	b.Helper()
	report, err := balances.Rebuild(b.Context(), balances.RebuildConfig{
		Broker: b.network.Connect("rebuild"), Partitions: partitions, Snapshots: &b.snapshots, Installation: "one",
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return report
}

// stopped checks that partition 1 stopped because the ledger was rewound, and
// partition 0 did not.
func (b *bubble) stopped(p *balances.Projector, lost uint64) {
	b.Helper()
	b.await(func() bool { return len(p.Status()) == 2 && p.Status()[1].Err != nil })
	var rewound *stream.RewindError
	if err := p.Status()[1].Err; !errors.As(err, &rewound) || rewound.Mark.Sequence != lost {
		b.Errorf("stopped with %v; want for message %d", err, lost)
	}
	b.await(func() bool { return p.Ready() })
	if s := p.Status(); !s[0].Live || s[1].Live {
		b.Errorf("status: %+v; want partition 0 live alone", s)
	}
}

// The last messages are lost, and their sequences are given out again. Rebuild
// mends what was built on them, and the projector goes on.
func TestALedgerThatLostItsEndStopsThePartitionUntilItIsRebuilt(t *testing.T) {
	lose := map[string]func(b *bubble, p *balances.Projector, stop func()) *balances.Projector{
		"while it is live": func(b *bubble, p *balances.Projector, _ func()) *balances.Projector {
			b.rewind(events.StreamLedger, 6)
			b.client.Interrupt() // its server was restarted
			return p
		},
		"while it is live, and the end grows again": func(b *bubble, p *balances.Projector, _ func()) *balances.Projector {
			b.rewind(events.StreamLedger, 6)
			for i := range 5 {
				b.grant(accountOf(1, 3), fmt.Sprint("again", i))
			}
			return p
		},
		"while nothing runs, and the end grows again": func(b *bubble, _ *balances.Projector, stop func()) *balances.Projector {
			stop()
			b.rewind(events.StreamLedger, 6)
			for i := range 5 {
				b.grant(accountOf(1, 3), fmt.Sprint("again", i))
			}
			p, stop := b.start()
			b.stop = stop
			return p
		},
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				p, stop := b.start()
				b.stop = stop
				b.await(p.Ready)
				for i := range 6 {
					b.grant(accountOf(i%2, i/2), "kept")
				}
				lost := b.grant(accountOf(1, 0), "lost") // an account that was
				lost = max(lost, b.grant(accountOf(1, 9), "lost"))
				b.awaitEqual()
				<-time.After(4 * time.Second) // it was verified since
				p = lose(b, p, stop)
				b.stopped(p, lost)
				<-time.After(10 * time.Second) // it looks again and again
				b.await(func() bool { return p.Status()[1].Err != nil })
				b.grant(accountOf(0, 0), "meanwhile")
				b.await(func() bool { return b.held()[accountOf(0, 0)] == b.folded()[accountOf(0, 0)] })
				if b.held()[accountOf(1, 9)] == "" {
					t.Error("the value built on a lost message was removed before anybody asked for it")
				}

				report := b.rebuild()
				if report.Accounts.Replaced < 1 || report.Accounts.Removed != 1 {
					t.Errorf("rebuilt: %+v; want one replaced at least, and one removed", report)
				}
				if diff := cmp.Diff(b.folded(), b.held()); diff != "" {
					t.Errorf("after the rebuild (-ledger +bucket):\n%s", diff)
				}
				b.await(func() bool { return p.Status()[1].Live })
				b.grant(accountOf(1, 0), "afterwards")
				b.awaitEqual()
				if err := p.Status()[1].Err; err != nil {
					t.Errorf("it goes on with %v", err)
				}
				b.stop()
			})
		})
	}
}

func TestAFoldAheadOfTheLedgerIsFoldedAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		p, stop := b.start()
		b.await(p.Ready)
		b.grant(accountOf(1, 0), "kept")
		b.awaitEqual()
		ends := [2]uint64{b.last(events.StreamLedger), b.last("KV_" + events.BucketBalances)}
		b.grant(accountOf(1, 1), "lost")
		b.awaitEqual()
		b.rewind(events.StreamLedger, ends[0])
		b.rewind("KV_"+events.BucketBalances, ends[1]) // lost it too
		b.await(func() bool { return p.Status()[1].Err != nil })
		b.await(func() bool { return p.Status()[1].Live })
		b.grant(accountOf(1, 0), "afterwards")
		b.awaitEqual()
		stop()
	})
}

func TestARebuildSaysWhatItFound(t *testing.T) {
	inBubble(t, func(b *bubble) {
		p, stop := b.start()
		b.await(p.Ready)
		for i := range 4 {
			b.grant(accountOf(i%2, i/2), "g")
		}
		b.awaitEqual()
		stop()
		if report := b.rebuild(); report.Accounts != (balances.Counts{Equal: 4}) {
			t.Errorf("of right balances: %+v", report.Accounts)
		}
		right := nats.Header{}
		for _, m := range b.messages("KV_" + events.BucketBalances) {
			if strings.HasSuffix(m.Subject, "."+accountOf(0, 0)) {
				right = m.Header
			}
		}
		b.put(accountOf(0, 0), right, "altered, at its place")
		b.put(accountOf(1, 0), nil, "of no place")
		b.put(accountOf(1, 1), nats.Header{"Drawdown-Ledger-Place": {"99999.0"}}, "of a place that is not there")
		b.put("stranger", nil, "the ledger does not know it")
		b.put("deleted", nats.Header{"KV-Operation": {"DEL"}}, "")
		if report := b.rebuild(); report.Accounts != (balances.Counts{Equal: 1, Replaced: 3, Removed: 1}) {
			t.Errorf("of altered balances: %+v", report.Accounts)
		}
		if diff := cmp.Diff(b.folded(), b.held()); diff != "" {
			t.Errorf("after the rebuild (-ledger +bucket):\n%s", diff)
		}
		if report := b.rebuild(); report.Accounts != (balances.Counts{Equal: 4}) {
			t.Errorf("once more: %+v", report.Accounts)
		}
	})
}

func TestARebuildBesideLiveTrafficKeepsWhatIsNewer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, _ := r.start()
	r.awaitReady(p)
	r.content(1)
	r.agree()
	broker, err := stream.NewBroker(r.server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	idle := accountOf(0, 9)
	r.ask(grant(idle, "g", "1"))
	if _, err := r.streams.Balances.PutString(t.Context(), idle, "altered"); err != nil {
		t.Fatal(err)
	}
	newest, watch := map[string]events.Balance{}, make(chan struct{})
	updates, err := r.streams.Balances.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(watch)
		for entry := range updates.Updates() {
			if entry == nil || string(entry.Value()) == "altered" {
				continue
			}
			b := decode[events.Balance](t, entry.Value())
			if old := newest[b.Account]; b.Sequence < old.Sequence || b.Sequence == old.Sequence && b.Index < old.Index {
				t.Errorf("%s went back from %d.%d to %d.%d", b.Account, old.Sequence, old.Index, b.Sequence, b.Index)
			}
			newest[b.Account] = b
		}
	}()
	rebuilt := make(chan error, 1)
	var told []uint64
	go func() {
		for range 3 {
			_, err := balances.Rebuild(t.Context(), balances.RebuildConfig{Broker: broker, Partitions: partitions}, func(done, total uint64) {
				told = append(told, done, total)
			})
			if err != nil {
				rebuilt <- err
				return
			}
		}
		rebuilt <- nil
	}()
	r.traffic(2, 150)
	if err := <-rebuilt; err != nil {
		t.Fatal(err)
	}
	r.agree()
	if err := updates.Stop(); err != nil {
		t.Fatal(err)
	}
	<-watch
	if len(told) == 0 || told[len(told)-2] != told[len(told)-1] {
		t.Errorf("the last it told of its progress was %v", told[max(0, len(told)-2):])
	}
}
