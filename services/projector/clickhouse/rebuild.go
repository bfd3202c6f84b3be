package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// Stages of a rebuild.
const (
	StageFill    = "fill"    // the new tables are filled, beside live traffic
	StageCompare = "compare" // with the live ones
	StageSwap    = "swap"    // writers wait
)

// Progress is how far a rebuild is. Done and Total are LEDGER sequences.
type Progress struct {
	Stage string `json:"stage"`
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// Report says what a rebuild has done.
type Report struct {
	// Through is the LEDGER sequence up to which old and new tables were compared.
	Through uint64 `json:"through"`
	// Generation is that of the new tables.
	Generation uint64 `json:"generation"`
	// Differences are where the old tables were not as the new ones are; the
	// first of them, if there are many.
	Differences []Difference `json:"differences"`
}

// Equal reports whether the old tables held what the new ones hold.
func (r Report) Equal() bool { return len(r.Differences) == 0 }

// Difference is one place where the old tables were wrong.
type Difference struct {
	Table   string `json:"table"`   // or what was compared
	Subject string `json:"subject"` // such as an account
	Live    string `json:"live"`
	Rebuilt string `json:"rebuilt"`
}

const rebuildPoll = 50 * time.Millisecond

// Rebuild fills new tables from the streams, in a database beside the one that
// config.DSN names and beside whatever writes to that, compares both, and then
// exchanges the tables. progress may be nil. A crash at any point leaves a
// database that works; the next rebuild, or the next writer, cleans up. See the
// package documentation for what a query sees while tables are exchanged.
func Rebuild(ctx context.Context, config Config, progress func(Progress)) (Report, error) {
	r, err := newRebuild(config, progress)
	if err != nil {
		return Report{}, err
	}
	defer r.live.Close()
	defer r.shadow.Close()
	if err := r.prepare(ctx); err != nil {
		return Report{}, fmt.Errorf("prepare to rebuild ClickHouse: %w", err)
	}
	g, working := errgroup.WithContext(ctx)
	g.Go(func() error { return r.fill(working) })
	var report Report
	g.Go(func() error {
		var err error
		report, err = r.catchUp(working)
		return err
	})
	if err := g.Wait(); err != nil {
		return Report{}, fmt.Errorf("rebuild ClickHouse: %w", err)
	}
	if ctx.Err() != nil {
		return Report{}, context.Cause(ctx)
	}
	if err := r.swap.exchange(ctx); err != nil {
		return Report{}, fmt.Errorf("put the rebuilt ClickHouse tables in place: %w", err)
	}
	return report, nil
}

// rebuild is one rebuild.
type rebuild struct {
	config   Config
	progress func(Progress)
	live     *server
	shadow   *server
	manifest *agreement  // of the live database
	filler   *Projection // into the shadow
	swap     *swapper
	report   Report
}

func newRebuild(config Config, progress func(Progress)) (*rebuild, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	live, err := newServer(config.DSN)
	if err != nil {
		return nil, err
	}
	r := &rebuild{config: config, progress: progress, live: live, shadow: live.beside(), manifest: newAgreement(config.Broker, keyLive)}
	if r.filler, err = newFiller(config, r.shadow); err != nil {
		return nil, err
	}
	r.swap = &swapper{config: config, live: r.live, shadow: r.shadow, manifest: r.manifest}
	return r, nil
}

// newFiller is a projection into a shadow, which can be asked to end.
func newFiller(config Config, shadow *server) (*Projection, error) {
	config.Store, config.Snapshots, config.Metrics = shadow, nil, nil
	p, err := New(config)
	if err != nil {
		return nil, err
	}
	p.key, p.ending = keyRebuild, newEnding()
	return p, nil
}

// prepare makes an empty shadow that nobody else writes to.
func (r *rebuild) prepare(ctx context.Context) error {
	owner, err := r.live.Open(ctx)
	if err != nil {
		return err
	}
	if owner.Installation != "" && owner.Installation != r.config.Installation {
		return foreign("the ClickHouse database belongs to installation %s, and this is %s", owner.Installation, r.config.Installation)
	}
	if err := r.manifest.read(ctx); err != nil {
		return err
	}
	if r.manifest.manifest.Swap.Generation > 0 { // of a rebuild that died
		err := r.swap.takeOver(ctx)
		if errors.Is(err, ErrDiverged) || errors.Is(err, ErrForeign) {
			err = r.swap.abandon(ctx)
		}
		if err != nil {
			return err
		}
		if owner, err = r.live.owner(ctx); err != nil {
			return err
		}
	}
	shadow := newAgreement(r.config.Broker, keyRebuild)
	if err := shadow.read(ctx); err != nil {
		return err
	}
	generation := 1 + max(owner.Generation, r.manifest.manifest.Generation, shadow.manifest.Generation)
	next := manifest{Format: manifestFormat, Installation: r.config.Installation, Generation: generation}
	if err := shadow.propose(ctx, next); err != nil { // ends a rebuild that is under way
		return err
	}
	if owner, err = r.emptyShadow(ctx, generation); err != nil {
		return err
	}
	next.Database = owner.Database
	return shadow.propose(ctx, next)
}

// emptyShadow makes the shadow's tables, of a generation that nobody else writes.
func (r *rebuild) emptyShadow(ctx context.Context, generation uint64) (Owner, error) {
	if err := r.live.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quoteName(r.shadow.database())+" SYNC"); err != nil {
		return Owner{}, fmt.Errorf("drop what another rebuild has left: %w", err)
	}
	if _, err := r.shadow.Open(ctx); err != nil {
		return Owner{}, err
	}
	tables, err := r.shadow.generations(ctx, r.shadow.database())
	if err != nil {
		return Owner{}, err
	}
	for table, was := range tables {
		if err := r.shadow.rename(ctx, table, generationName(was), generationName(generation)); err != nil {
			return Owner{}, err
		}
	}
	r.report.Generation, r.filler.only = generation, generation
	return r.shadow.Claim(ctx, r.config.Installation)
}

// errReplaced reports that somebody has begun another rebuild.
var errReplaced = errors.New("another rebuild has begun")

// fill projects into the shadow until ctx ends.
func (r *rebuild) fill(ctx context.Context) error {
	for {
		err := r.filler.project(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errEnded):
			return nil
		case hopeless(err), errors.Is(err, errReplaced):
			return err
		}
		r.config.Logger.WarnContext(ctx, "clickhouse rebuild goes on", "err", err)
		if pause.For(ctx, backoffMin) != nil {
			return nil
		}
	}
}

// catchUp waits until the shadow is as far as the streams, compares it with the
// live tables, stops whatever writes to those, and waits until the shadow is as
// far as they are.
func (r *rebuild) catchUp(ctx context.Context) (Report, error) {
	for range 2 { // what came during the first time is little
		state, err := r.config.Broker.Log(events.StreamLedger).State(ctx)
		if err != nil {
			return r.report, err
		}
		signals, err := r.config.Broker.Log(events.StreamSignals).State(ctx)
		if err != nil {
			return r.report, err
		}
		if err := r.await(ctx, StageFill, state.Last, signals.Last); err != nil {
			return r.report, err
		}
	}
	if err := r.compare(ctx); err != nil {
		return r.report, err
	}
	if err := r.swap.begin(ctx, r.report.Generation); err != nil {
		return r.report, err
	}
	if err := r.swap.fence(ctx); err != nil {
		return r.report, err
	}
	ledger, signals, err := r.live.last(ctx)
	if err != nil {
		return r.report, err
	}
	through, _ := r.filler.status.progress(events.StreamLedger)
	state, err := r.config.Broker.Log(events.StreamLedger).State(ctx)
	if err != nil {
		return r.report, err
	}
	// A live table may hold more than the streams do: that is why it is rebuilt.
	through = max(through, min(ledger, state.Last))
	if err := r.await(ctx, StageSwap, through, min(signals, r.signalsLast(ctx))); err != nil {
		return r.report, err
	}
	r.filler.ending.after(through)
	return r.report, nil
}

func (r *rebuild) signalsLast(ctx context.Context) uint64 {
	state, err := r.config.Broker.Log(events.StreamSignals).State(ctx)
	if err != nil {
		return 0 // the writer that comes next catches up
	}
	return state.Last
}

// await waits until the shadow is that far.
func (r *rebuild) await(ctx context.Context, stage string, ledger, signals uint64) error {
	for {
		through, _ := r.filler.status.progress(events.StreamLedger)
		signalled, _ := r.filler.status.progress(events.StreamSignals)
		r.progress(Progress{Stage: stage, Done: min(through, ledger), Total: ledger})
		if through >= ledger && signalled >= signals {
			return nil
		}
		if pause.For(ctx, rebuildPoll) != nil {
			return context.Cause(ctx)
		}
	}
}
