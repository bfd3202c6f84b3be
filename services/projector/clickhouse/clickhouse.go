package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	defaultFlushEvery = 500 * time.Millisecond
	backoffMin        = 100 * time.Millisecond
	backoffMax        = 5 * time.Second
	// A projection that stopped looks again when the manifest changes, for which
	// it asks this often, and also when it does not.
	stoppedPoll = 5 * time.Second
	stoppedMax  = 5 * time.Minute
)

// Config says what to project where. Broker, Installation, Partitions, and DSN
// or Store are required.
type Config struct {
	Broker stream.Broker
	// Installation is the id of the installation that the streams belong to.
	Installation string
	Partitions   int // of the installation
	// DSN names the ClickHouse database; its scheme chooses the protocol:
	// clickhouse://user:password@host:9000/drawdown, or http://….
	DSN string
	// Store takes the place of the database behind DSN.
	Store Store
	// Share says when this instance is to write; nil means always. There is one
	// partition to it, 0.
	Share lease.Share
	// Snapshots save a start from folding LEDGER from its beginning; nil means
	// that there are none.
	Snapshots snapshot.Store
	// FlushEvery bounds how long a row waits for its batch; default 500 ms. Much
	// less, and a writer that hangs for minutes is not recognised any more.
	FlushEvery time.Duration
	// BatchRows is when a batch is full; default 50 000.
	BatchRows int
	Logger    *slog.Logger          // nil discards
	Metrics   prometheus.Registerer // nil registers nothing
}

// Projection keeps ClickHouse up to date with LEDGER and SIGNALS.
type Projection struct {
	config Config
	key    string // of its manifest
	store  Store
	limits limits
	log    *slog.Logger
	status *status

	snapshotEntries int
	swapGrace       time.Duration
	ending          *ending // nil when it never ends by itself
	only            uint64  // generation to which it writes; 0 means any
}

// ending ends a projection behind a LEDGER sequence, with no batch half sent.
type ending struct {
	asked chan struct{} // is closed when until is set
	until uint64
}

func newEnding() *ending { return &ending{asked: make(chan struct{})} }

// after asks, once, to end as soon as everything through sequence until is sent.
func (e *ending) after(until uint64) {
	e.until = until
	close(e.asked)
}

// errEnded reports that a projection has gone as far as it was asked to.
var errEnded = errors.New("the projection has gone as far as it was to")

// New prepares a projection. It connects to nothing yet.
func New(config Config) (*Projection, error) {
	if config.Partitions < 1 {
		return nil, errors.New("project to ClickHouse: the number of partitions is missing")
	}
	if config.FlushEvery <= 0 {
		config.FlushEvery = defaultFlushEvery
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Share == nil {
		config.Share = lease.All(1)
	}
	p := &Projection{
		config: config, key: keyLive, store: config.Store, limits: defaultLimits, log: config.Logger, status: newStatus(),
		snapshotEntries: snapshotEntries, swapGrace: swapGrace,
	}
	if config.BatchRows > 0 {
		p.limits.rows = config.BatchRows
	}
	if p.store == nil {
		store, err := NewStore(config.DSN)
		if err != nil {
			return nil, err
		}
		p.store = store
	}
	if config.Metrics != nil {
		if err := p.status.register(config.Metrics); err != nil {
			return nil, fmt.Errorf("register the metrics of the ClickHouse projection: %w", err)
		}
	}
	return p, nil
}

// Status says how far the projection is. It may be asked at any time.
func (p *Projection) Status() Status { return p.status.read() }

// Run migrates the database and projects whenever the share says so, until ctx
// ends, which is no error. Whatever goes wrong it tries again. Where only a
// person can mend it, Status says that it stopped, and it waits for the manifest
// to change, as a rebuild does.
func (p *Projection) Run(ctx context.Context) error {
	defer p.store.Close()
	return p.config.Share.Run(ctx, p.work)
}

// work projects until ctx ends.
func (p *Projection) work(ctx context.Context, held *lease.Held) {
	p.status.begin(held)
	defer p.status.end()
	wait := backoffMin
	for ctx.Err() == nil {
		started := time.Now()
		err := p.project(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case hopeless(err):
			p.halt(ctx, fmt.Errorf("project to ClickHouse: %w", err))
			continue
		}
		p.status.fail(StateRetrying, err)
		p.log.WarnContext(ctx, "clickhouse projection begins again", "err", err, "in", wait)
		if pause.For(ctx, wait) != nil {
			return
		}
		if wait = min(2*wait, backoffMax); time.Since(started) > time.Minute {
			wait = backoffMin
		}
	}
}

// hopeless reports whether waiting cannot mend err.
func hopeless(err error) bool {
	var rewind *stream.RewindError
	return errors.Is(err, ErrDiverged) || errors.Is(err, ErrForeign) || errors.As(err, &rewind) || refused(err)
}

// halt reports err and returns when there is a reason to look again.
func (p *Projection) halt(ctx context.Context, err error) {
	if p.status.fail(StateStopped, err) {
		p.log.ErrorContext(ctx, "clickhouse projection stopped", "err", err)
	}
	manifest := newAgreement(p.config.Broker, p.key)
	known := manifest.read(ctx) == nil
	for since := time.Now(); time.Since(since) < stoppedMax; {
		if pause.For(ctx, stoppedPoll) != nil || known && errors.Is(manifest.holds(ctx), errOvertaken) {
			return
		}
	}
}

// errInterrupted reports that what was read of the streams may be gone.
var errInterrupted = errors.New("the connection to the streams was lost")

// project begins from what ClickHouse holds and goes on until something ends it.
func (p *Projection) project(ctx context.Context) error {
	lost, release := p.config.Broker.Interrupted()
	defer release()
	begin, err := p.resume(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-lost:
			return errInterrupted
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	g.Go(func() error { return p.projectLedger(ctx, begin) })
	g.Go(func() error { return p.projectSignals(ctx, begin.manifest.manifest.Generation) })
	return g.Wait()
}

// retry does what until it succeeds or going on is pointless, with growing
// pauses.
func (p *Projection) retry(ctx context.Context, doing string, what func(attempt int) error) error {
	wait := backoffMin
	for attempt := 0; ; attempt++ {
		err := what(attempt)
		switch {
		case err == nil:
			p.status.live()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errOvertaken), hopeless(err) && !refused(err): // a refusal may be for another writer's having gone on
			return err
		}
		p.status.retry(err)
		p.log.WarnContext(ctx, "clickhouse projection tries again", "doing", doing, "err", err, "attempt", attempt+1, "in", wait)
		if pause.For(ctx, wait) != nil {
			return context.Cause(ctx)
		}
		wait = min(2*wait, backoffMax)
	}
}

// noteStops tells of partitions that have stopped, once.
func (p *Projection) noteStops(ctx context.Context, all []Stop) {
	for _, stop := range p.status.stopped(all) {
		p.log.ErrorContext(ctx, "partition has no more rows in clickhouse", "partition", stop.Partition, "seq", stop.Sequence, "err", stop.Reason)
	}
}

// projectLedger fills batches from the stream while the one before is sent.
func (p *Projection) projectLedger(ctx context.Context, begin start) error {
	ledger := p.config.Broker.Log(events.StreamLedger)
	known, kept := begin.manifest.manifest, p.newSnapshots()
	fold, err := kept.load(ctx, begin.next(), known, ledger)
	if err != nil {
		p.log.WarnContext(ctx, "clickhouse projection does without a snapshot", "err", err)
	}
	reader, err := ledger.Read(ctx, stream.From{Sequence: fold.folded + 1})
	if err != nil {
		return err
	}
	defer reader.Close()
	p.status.written(events.StreamLedger, begin.next()-1) // rollups may be behind until the newest batch is sent again
	p.noteStops(ctx, known.Stopped)
	p.status.live()
	p.log.InfoContext(ctx, "clickhouse projection runs", "from", begin.next(), "folds_from", fold.folded+1, "resent_batches", len(begin.promises))
	f := &filler{
		projection: p, messages: reader.Messages(), folder: fold, snapshots: kept, next: begin.next(),
		cutter: cutter{limits: p.limits, promised: begin.promises},
	}
	w := &writer{projection: p, ledger: ledger, manifest: begin.manifest, sent: begin.position.ledger.Span, promised: len(begin.promises)}
	return pump(ctx, f, w)
}

// pump lets f fill one batch while w sends another.
func pump(ctx context.Context, f *filler, w *writer) error {
	full, free := make(chan *batch), make(chan *batch, 1)
	free <- newBatch()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.run(ctx, full, free) })
	g.Go(func() error { return w.run(ctx, full, free) })
	return g.Wait()
}
