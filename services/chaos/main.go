package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/disk"
	"github.com/drawdown-credits/drawdown/services/chaos/schedule"
)

func main() {
	disk.Isolate() // does not return in the process outside
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(status)
}

// options are the flags.
type options struct {
	seed      uint64
	events    int
	faults    int
	cluster   int // percent of the events and faults that are for a cluster
	accounts  int
	rate      int
	pace      float64
	together  int
	raters    int
	projector int
	enforcers int
	gateways  int
	settle    time.Duration
	image     bool
	diskGiB   int64
	only      string
	without   string
	drawdown  string
	nats      string
	dir       string
	keep      bool
	json      string
	of        map[schedule.Kind]bool // by only and without
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Uint64Var(&o.seed, "seed", 0, "seed of content and schedule; 0: a new one")
	flags.IntVar(&o.events, "events", 5_000_000, "events to send")
	flags.IntVar(&o.faults, "faults", 200, "faults to do meanwhile")
	flags.IntVar(&o.cluster, "cluster", 8, "percent of the events, and five times as many of the faults, for a cluster of three NATS nodes")
	flags.IntVar(&o.accounts, "accounts", 3000, "accounts")
	flags.IntVar(&o.rate, "rate", 0, "events a second at most; 0: as many as are taken")
	flags.Float64Var(&o.pace, "pace", 1, "factor of the faults' durations")
	flags.IntVar(&o.together, "together", 3, "faults under way at once, at most")
	flags.IntVar(&o.raters, "raters", 3, "instances of the rater")
	flags.IntVar(&o.projector, "projectors", 2, "instances of the projector")
	flags.IntVar(&o.enforcers, "enforcers", 2, "instances of the enforcer")
	flags.IntVar(&o.gateways, "gateways", 2, "instances of the gateway")
	flags.DurationVar(&o.settle, "settle", 10*time.Minute, "how long the system may take to settle at the end")
	flags.BoolVar(&o.image, "image", false, "keep streams on a disk image, whose syncs take time, instead of in memory")
	flags.Int64Var(&o.diskGiB, "disk", 24, "size of each node's disk in GiB; of memory or disk it takes what is used")
	flags.StringVar(&o.only, "only", "", "kinds of faults to do, by comma; empty: all")
	flags.StringVar(&o.without, "without", "", "kinds of faults to leave out, by comma")
	flags.StringVar(&o.drawdown, "drawdown", "", "another drawdown to run; empty: build it")
	flags.StringVar(&o.nats, "nats-server", "", "another nats-server to run; empty: build it")
	flags.StringVar(&o.dir, "dir", "", "folder to work in; empty: a temporary one")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder")
	flags.StringVar(&o.json, "json", "", "file for the report as JSON")
	if err := flags.Parse(args); err != nil {
		return o, err // said already
	}
	var err error
	if o.of, err = kinds(o.only, o.without); err != nil {
		fmt.Fprintln(out, "chaos:", err)
	}
	return o, err
}

// kinds are those of only, or all, without some.
func kinds(only, without string) (map[schedule.Kind]bool, error) {
	all := schedule.Kinds()
	named := func(text string) ([]schedule.Kind, error) {
		var named []schedule.Kind
		for name := range strings.SplitSeq(text, ",") {
			kind := schedule.Kind(strings.TrimSpace(name))
			if text != "" && !slices.Contains(all, kind) {
				return nil, fmt.Errorf("no kind of fault is called %q; there are %q", kind, all)
			}
			named = append(named, kind)
		}
		return named, nil
	}
	chosen, err := named(only)
	if err != nil {
		return nil, err
	}
	if only == "" {
		chosen = all
	}
	left, err := named(without)
	if err != nil {
		return nil, err
	}
	of := map[schedule.Kind]bool{}
	for _, kind := range chosen {
		if !slices.Contains(left, kind) {
			of[kind] = true
		}
	}
	return of, nil
}

// run does everything the flags ask for and returns the exit status.
func run(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args, out)
	if err != nil {
		return 2
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	r, err := chaos(ctx, o, out)
	if err != nil {
		fmt.Fprintln(out, "chaos:", err)
		return 1
	}
	r.print(out)
	if o.json != "" {
		if err := r.write(o.json); err != nil {
			fmt.Fprintln(out, "chaos:", err)
			return 1
		}
	}
	if r.Differences > 0 {
		return 1
	}
	return 0
}

// chaos does the legs.
func chaos(ctx context.Context, o options, out io.Writer) (*report, error) {
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "drawdown-chaos-"); err != nil {
			return nil, fmt.Errorf("create a folder: %w", err)
		}
	}
	if !o.keep {
		defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary folder
	}
	programs, err := build(dir, programs{drawdown: o.drawdown, nats: o.nats})
	if err != nil {
		return nil, err
	}
	r := &report{Seed: o.seed}
	for _, l := range o.legs() {
		l.programs, l.dir, l.out = programs, filepath.Join(dir, fmt.Sprintf("nodes-%d", l.Nodes)), out
		fmt.Fprintf(out, "seed %d: %d events and %d faults on %d NATS node(s)\n", l.Seed, l.Events, l.Faults, l.Nodes)
		result, err := l.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("seed %d, %d node(s): %w", l.Seed, l.Nodes, err)
		}
		r.Legs = append(r.Legs, result)
		r.Differences += result.Audit.Differences.Count
	}
	return r, nil
}

// legs are what the flags ask for: most on one node, some on a cluster.
func (o options) legs() []*leg {
	base := leg{
		Seed: o.seed, Nodes: 1, Accounts: o.accounts, Partitions: 16, Pace: o.pace, Rate: o.rate, Together: o.together, Settle: o.settle,
		Counts: map[string]int{"rater": o.raters, "projector": o.projector, "enforcer": o.enforcers, "gateway": o.gateways},
		Image:  o.image, DiskBytes: o.diskGiB << 30, Of: o.of,
	}
	one, three := base, base
	three.Nodes = 3
	three.Events = o.events * o.cluster / 100
	three.Faults = min(o.faults*o.cluster*5/100, o.faults)
	one.Events, one.Faults = o.events-three.Events, o.faults-three.Faults
	var legs []*leg
	for _, l := range []*leg{&one, &three} {
		if l.Events > 0 {
			legs = append(legs, l)
		}
	}
	return legs
}
