package balances_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// stored are snapshots that tell when one was saved.
type stored struct {
	snapshot.Store
	saved chan snapshot.Header
}

func newStored(inner snapshot.Store) *stored {
	return &stored{Store: inner, saved: make(chan snapshot.Header, 100)}
}

func (s *stored) Save(ctx context.Context, name string, h snapshot.Header, encode func(io.Writer) error) error {
	err := s.Store.Save(ctx, name, h, encode)
	if err == nil {
		s.saved <- h
	}
	return err
}

// logs are what a projector logs.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) lines(of string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, of) {
			found = append(found, line)
		}
	}
	return found
}

// bucket is what each key of a bucket holds, with the header.
func (r *rig) bucket(name string) map[string]string {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), "KV_"+name)
	if err != nil {
		r.t.Fatal(err)
	}
	held := map[string]string{}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(r.t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		held[m.Subject] = m.Header.Get("Drawdown-Ledger-Place") + " " + m.Header.Get("Drawdown-Ledger-Stored-At") + " " + string(m.Data)
	}
	return held
}

// empty takes everything out of both buckets.
func (r *rig) empty() {
	r.t.Helper()
	for _, bucket := range []string{events.BucketBalances, events.BucketCatalog} {
		s, err := r.js.Stream(r.t.Context(), "KV_"+bucket)
		if err == nil {
			err = s.Purge(r.t.Context())
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// content is traffic that leaves something in both buckets.
func (r *rig) content(seed uint64) {
	r.t.Helper()
	plan := events.Plan{Plan: "pro", Terms: events.Terms{Period: "month", Grant: &events.PlanGrant{Amount: 9 * events.Credit}, Thresholds: []string{"10%", "3"}}}
	r.command(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	for partition := range partitions {
		account := accountOf(partition, int(seed)%5)
		r.command(events.Entry{Kind: events.EntryAccount, Account: account, Settings: &events.Account{ID: account, Plan: "pro"}})
	}
	price := events.Price{Flat: new(events.MustQuantity("1"))}
	r.command(events.Entry{Kind: events.EntryRateCard, RateCard: &events.RateCard{Card: "default", Rules: []events.Rule{{Name: "all", Price: price}}}})
	r.traffic(seed, 60)
}

func TestAStartFromASnapshotComesToTheSameBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nc := r.server.Connect()
	broker, err := stream.NewBroker(nc)
	if err != nil {
		t.Fatal(err)
	}
	snapshots := newStored(snapshot.NewStore(broker))
	with := func(c *balances.Config) { c.Snapshots, c.Installation = snapshots, r.streams.Installation }
	r.content(1)
	p, stop := r.start(with)
	r.awaitReady(p)
	r.content(2)
	r.agree()
	stop() // saves
	if n := len(snapshots.saved); n != partitions {
		t.Fatalf("%d snapshots were saved at the end; want %d", n, partitions)
	}
	r.content(3)
	var run [2]map[string]map[string]string
	var folded [2]float64
	for i, change := range []func(*balances.Config){with, func(*balances.Config) {}} {
		r.empty()
		registry := prometheus.NewRegistry()
		p, stop := r.start(change, func(c *balances.Config) { c.Registerer = registry })
		r.awaitReady(p)
		r.agree()
		stop()
		run[i] = map[string]map[string]string{}
		for _, name := range []string{events.BucketBalances, events.BucketCatalog} {
			run[i][name] = r.bucket(name)
		}
		folded[i] = metric(t, registry, "drawdown_balances_entries_total")
	}
	if diff := cmp.Diff(run[1], run[0]); diff != "" || len(run[0][events.BucketBalances]) != 10 || len(run[0][events.BucketCatalog]) < 4 {
		t.Errorf("buckets of %d and %d keys (-from the start +from a snapshot):\n%s", len(run[0][events.BucketBalances]), len(run[0][events.BucketCatalog]), diff)
	}
	if folded[0] == 0 || folded[0] > folded[1]/2 {
		t.Errorf("%g entries folded from a snapshot, %g from the start", folded[0], folded[1])
	}
}

func TestASnapshotIsSavedWhileThePartitionGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	snapshots := newStored(&snapshot.Memory{})
	p, _ := r.start(func(c *balances.Config) { c.Snapshots, c.SnapshotEntries = snapshots, 10 })
	r.awaitReady(p)
	r.traffic(1, 40)
	h := <-snapshots.saved
	if h.Mark.Sequence == 0 || h.Partitions != partitions || h.Mark.Verify(t.Context(), r.log(events.StreamLedger)) != nil {
		t.Errorf("saved as %+v", h)
	}
	r.agree()
}

// log is a log over the rig's own connection.
func (r *rig) log(name string) stream.Log {
	r.t.Helper()
	broker, err := stream.NewBroker(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return broker.Log(name)
}

func TestASnapshotThatDoesNotFitIsIgnored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var good snapshot.Memory
	p, stop := r.start(func(c *balances.Config) { c.Snapshots, c.Installation = &good, "one" })
	r.awaitReady(p)
	r.content(1)
	r.agree()
	stop()
	var content []byte
	h, ok, err := good.Load(t.Context(), "balances-1", 0, func(_ snapshot.Header, r io.Reader) (err error) {
		content, err = io.ReadAll(r)
		return err
	})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	tests := map[string]func(h *snapshot.Header, content []byte) []byte{
		"of another installation": func(h *snapshot.Header, b []byte) []byte { h.Installation = "two"; return b },
		"of another partition":    func(h *snapshot.Header, b []byte) []byte { h.Partition = 0; return b },
		"of another format":       func(h *snapshot.Header, b []byte) []byte { h.Format++; return b },
		"of a ledger that is lost": func(h *snapshot.Header, b []byte) []byte {
			h.Mark.StoredAt = h.Mark.StoredAt.Add(time.Microsecond)
			return b
		},
		"beyond the ledger's end":  func(h *snapshot.Header, b []byte) []byte { h.Mark.Sequence += 1000; return b },
		"cut short":                func(_ *snapshot.Header, b []byte) []byte { return b[:len(b)/2] },
		"cut short in its catalog": func(_ *snapshot.Header, b []byte) []byte { return b[:5] },
		"empty":                    func(*snapshot.Header, []byte) []byte { return nil },
		"with an altered byte":     func(_ *snapshot.Header, b []byte) []byte { b[len(b)-9] ^= 1; return b },
		"with a key too long":      func(_ *snapshot.Header, b []byte) []byte { return append([]byte{0, 1, 0xff, 0x7f}, b...) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			h, content := h, bytes.Clone(content)
			content = damage(&h, content)
			var bad snapshot.Memory
			if err := bad.Save(t.Context(), "balances-1", h, func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
				t.Fatal(err)
			}
			r.empty()
			var said logs
			p, stop := r.start(func(c *balances.Config) {
				c.Snapshots, c.Installation, c.Logger = &bad, "one", slog.New(slog.NewTextHandler(&said, nil))
			})
			r.awaitReady(p)
			r.agree()
			stop()
			if lines := said.lines("snapshot is ignored"); len(lines) != 1 || !strings.Contains(lines[0], "partition=1") {
				t.Errorf("it said %q; want one line", lines)
			}
		})
	}
}

// slow are snapshots that take a while to save.
type slow struct {
	snapshot.Memory
	mu            sync.Mutex
	now, most, of int // saves under way, the most of them, and all
}

func (s *slow) Save(ctx context.Context, name string, h snapshot.Header, encode func(io.Writer) error) error {
	s.mu.Lock()
	s.now, s.of = s.now+1, s.of+1
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	<-time.After(100 * time.Millisecond)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return s.Memory.Save(ctx, name, h, encode)
}

func TestPartitionsThatAreLeftTogetherSaveOneAfterTheOther(t *testing.T) {
	inBubble(t, func(b *bubble) {
		snapshots := &slow{}
		p, err := balances.New(balances.Config{
			Broker: b.network.Connect("projector"), Partitions: partitions, Snapshots: snapshots, Installation: "one",
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		for partition := range partitions {
			b.grant(accountOf(partition, 0), "g")
		}
		b.await(p.Ready)
		b.awaitEqual()
		stop()
		running.Wait()
		if snapshots.of != partitions || snapshots.most != 1 {
			b.Errorf("%d snapshots were saved, up to %d at a time; want %d, one at a time", snapshots.of, snapshots.most, partitions)
		}
	})
}
