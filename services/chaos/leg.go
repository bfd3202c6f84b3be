package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
	"github.com/drawdown-credits/drawdown/services/chaos/oracle"
	"github.com/drawdown-credits/drawdown/services/chaos/schedule"
	"github.com/drawdown-credits/drawdown/services/chaos/workload"
)

// leg is one run on one topology.
type leg struct {
	Seed       uint64
	Nodes      int
	Events     int
	Faults     int
	Accounts   int
	Partitions int
	Counts     map[string]int // instances of each service
	Pace       float64        // factor of the faults' durations
	Rate       int            // events a second; 0: as fast as they are taken
	Together   int            // faults that may be under way at once
	Settle     time.Duration
	Image      bool
	DiskBytes  int64
	Of         map[schedule.Kind]bool // kinds of faults; nil: all

	programs
	dir string
	out io.Writer
}

// run does the leg and returns what is to be reported. An error says that the
// run itself could not be done.
func (l *leg) run(ctx context.Context) (*legReport, error) {
	began := time.Now()
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the run: %w", err)
	}
	w := &world{programs: l.programs, dir: l.dir, partitions: l.Partitions, image: l.Image, diskBytes: l.DiskBytes}
	defer w.close()
	shipped, err := shippedNATS()
	if err != nil {
		return nil, err
	}
	if err := w.startNATS(ctx, shipped, l.Nodes); err != nil {
		return nil, err
	}
	if err := w.startEngine(ctx); err != nil {
		return nil, err
	}
	start := time.Now().Truncate(time.Second)
	gateway, err := w.startServices(ctx, l.Counts, start)
	if err != nil {
		return nil, err
	}
	r := newLegReport(l, w)
	r.Seconds.Start = seconds(began)
	journalPath := filepath.Join(l.dir, "journal")
	if err := l.produce(ctx, w, gateway, start, journalPath, r); err != nil {
		return nil, err
	}
	settling := time.Now()
	if err := l.settle(ctx, w, start, journalPath, r); err != nil {
		return nil, err
	}
	r.checkHolds()
	r.Seconds.Settle = seconds(settling)
	r.Seconds.All = seconds(began)
	r.finish(w)
	return r, nil
}

// shippedNATS reads the NATS configuration that Drawdown is delivered with.
func shippedNATS() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "deploy", "nats", "nats.conf"))
		if err == nil {
			return string(text), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("deploy/nats/nats.conf is in no folder above: run this in the repository")
		}
	}
}

// produce sends everything while the faults happen.
func (l *leg) produce(ctx context.Context, w *world, gateway *workload.Gateway, start time.Time, path string, r *legReport) error {
	began := time.Now()
	log, err := journal.Create(path)
	if err != nil {
		return err
	}
	gate := workload.NewGate(0)
	commander := workload.Commander{Gateway: gateway, Journal: log}
	commander.Prepare(ctx, l.plan(start))
	commander.Fund(ctx, l.arenas())
	faults := schedule.Make(schedule.Config{
		Seed: l.Seed, Faults: l.Faults, Events: l.Events, Pace: l.Pace, Of: l.Of,
		Topology: schedule.Topology{Nodes: l.Nodes, Services: l.Counts},
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	if err := l.startProducers(ctx, group, w, gateway, start, gate, log, r); err != nil {
		return err
	}
	if err := l.startCommanders(ctx, group, w, commander, l.plan(start), gate, r); err != nil {
		return err
	}
	group.Go(func() error { return l.inflictAll(ctx, w, gate, faults, r) })
	var beside sync.WaitGroup
	beside.Go(func() { l.progress(ctx, gate, r) })
	if l.Rate > 0 {
		beside.Go(func() { gate.Pace(ctx, l.Rate) })
	}
	err = group.Wait()
	cancel()
	beside.Wait()
	r.Sent = gate.Sent()
	r.Seconds.Produce = seconds(began)
	return errors.Join(err, log.Close())
}

// Bounds of what is not sent in batches: each such message costs the server a
// sync of its own.
const (
	singlesMax = 60_000
	postsMax   = 60_000
)

// startProducers starts the producers, each with its share.
func (l *leg) startProducers(ctx context.Context, group *errgroup.Group, w *world, gateway *workload.Gateway, start time.Time,
	gate *workload.Gate, log *journal.Writer, r *legReport) error {
	js, err := w.connect(natsURLOf(w.producers))
	if err != nil {
		return err
	}
	plan := l.plan(start)
	singles, posts := min(l.Events/10, singlesMax), min(l.Events/12, postsMax)
	batches := (l.Events - singles - posts) / 2
	shares := []struct {
		role   workload.Role
		quota  int
		window int
	}{
		{workload.Batches, batches, 16}, {workload.Batches, batches, 16}, {workload.Singles, singles, 128}, {workload.Posts, posts, 8},
	}
	for number, share := range shares {
		p := &workload.Producer{
			Generator: workload.NewGenerator(plan, number, share.role), Quota: share.quota, Window: share.window,
			Gate: gate, Journal: log, Counts: &r.counts, JetStream: js,
		}
		if share.role == workload.Posts {
			p.Gateway = gateway
		}
		group.Go(func() error { return p.Run(ctx) })
	}
	return nil
}

func (l *leg) plan(start time.Time) workload.Plan {
	return workload.Plan{Seed: l.Seed, Start: start, Accounts: l.Accounts, Partitions: l.Partitions}
}

// holds is how many requests about holds there are in all.
func (l *leg) holds() int { return min(max(l.Events/100, 600), 20_000) }

// arenas is how many accounts holders race on, at most.
func (l *leg) arenas() int { return 10 + l.holds()/20 }

// startCommanders starts those who give commands beside the producers.
func (l *leg) startCommanders(ctx context.Context, group *errgroup.Group, w *world, c workload.Commander, plan workload.Plan, gate *workload.Gate, r *legReport) error {
	over := l.Events * 9 / 10
	for number := range 2 {
		g := &workload.Granter{Number: number, Plan: plan, Commands: min(max(l.Events/400, 50), 5000), Events: over, Gate: gate, Commander: c}
		group.Go(func() error { return g.Run(ctx) })
	}
	js, err := w.connect(w.direct())
	if err != nil {
		return err
	}
	payer := &workload.Payer{Plan: plan, Events: over, Gate: gate, JetStream: js, Commander: c}
	group.Go(func() error { return payer.Run(ctx) })
	corrector := &workload.Corrector{
		Plan: plan, Commands: min(max(l.Events/500, 60), 2000), Events: over, Gate: gate, JetStream: js, Commander: c,
	}
	group.Go(func() error { return corrector.Run(ctx) })
	arena := &workload.Arena{Accounts: l.arenas(), History: &r.holds}
	for number := range workload.Holders {
		h := &workload.Holder{
			Number: number, Plan: plan, Commands: l.holds() / workload.Holders, Events: over, Gate: gate, Arena: arena, Commander: c,
		}
		if number%2 == 1 {
			if h.NATS, err = w.dial(natsURLOf(w.producers)); err != nil {
				return err
			}
		}
		group.Go(func() error { return h.Run(ctx) })
	}
	return nil
}

// inflictAll does the faults in their order, each when its number of events is
// sent, a few together.
func (l *leg) inflictAll(ctx context.Context, w *world, gate *workload.Gate, faults []schedule.Fault, r *legReport) error {
	js, err := w.connect(w.direct())
	if err != nil {
		return err
	}
	watched, err := startWatch(ctx, js, l.Partitions)
	if err != nil {
		return err
	}
	defer watched.close()
	i := &inflicter{world: w, js: js, busy: map[string]chan struct{}{}}
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(l.Together)
	for _, f := range faults {
		gate.Allow(f.At)
		if err := gate.Reach(grouped, f.At); err != nil {
			break
		}
		group.Go(func() error {
			r.begin(f)
			l.measure(watched, f, r)
			err := i.inflict(grouped, f)
			r.end(f)
			if err != nil {
				return fmt.Errorf("fault %s: %w", f, err)
			}
			return nil
		})
	}
	gate.Allow(2*l.Events + 1)
	return group.Wait()
}

// measure measures how long partitions stand still after faults that take
// their owner away, unless NATS or the producers are in trouble meanwhile.
func (l *leg) measure(w *watch, f schedule.Fault, r *legReport) {
	switch f.Kind {
	case schedule.Kill, schedule.Pause, schedule.Stall, schedule.Deaf, schedule.Reset, schedule.Down, schedule.Up, schedule.Doomed, schedule.Forget:
	default:
		return
	}
	streams := map[string]string{"rater": watchedLedger, "projector": watchedBalances}
	kind, _, _ := strings.Cut(f.Target, "-")
	stream := streams[kind]
	before, undisturbed := r.disturbances()
	if stream == "" || !undisturbed {
		return
	}
	w.measure(stream, func(d time.Duration) {
		if after, undisturbed := r.disturbances(); undisturbed && after == before {
			r.recovered(kind+" "+string(f.Kind), d)
		}
	})
}

// settle waits until the oracle agrees, or cannot any more.
func (l *leg) settle(ctx context.Context, w *world, start time.Time, path string, r *legReport) error {
	js, err := w.connect(w.direct())
	if err != nil {
		return err
	}
	o, err := oracle.New(oracle.Config{Journal: path, JetStream: js, ClickHouse: w.engineIn.SQL, Partitions: l.Partitions, Start: start})
	if err != nil {
		return err
	}
	deadline := time.Now().Add(l.Settle)
	for told := 0; ; {
		switch r.Audit, err = o.Audit(ctx); {
		case err != nil && (ctx.Err() != nil || time.Now().After(deadline)):
			return fmt.Errorf("%w\n%s", err, w.tails())
		case err != nil:
			fmt.Fprintf(l.out, "  settling: %v\n", err)
			workload.Pause(ctx, time.Second)
			continue
		case !r.Audit.Waiting || time.Now().After(deadline):
			return nil
		}
		if r.Audit.Differences.Count != told {
			told = r.Audit.Differences.Count
			fmt.Fprintf(l.out, "  settling: %d differences\n", told)
		}
		workload.Pause(ctx, time.Second)
	}
}

// progress prints a line now and then.
func (l *leg) progress(ctx context.Context, gate *workload.Gate, r *legReport) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprintf(l.out, "  %s  %d of %d events, %s\n", time.Since(r.began).Round(time.Second), gate.Sent(), l.Events, r.state())
		case <-ctx.Done():
			return
		}
	}
}

func seconds(since time.Time) float64 { return float64(time.Since(since).Milliseconds()) / 1000 }
