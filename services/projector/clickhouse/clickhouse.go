package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

const (
	defaultFlushEvery = 500 * time.Millisecond
	backoffMin        = 100 * time.Millisecond
	backoffMax        = 5 * time.Second
)

// Config says what to project where. DSN and JetStream are required.
type Config struct {
	// DSN names the ClickHouse database; its scheme chooses the protocol:
	// clickhouse://user:password@host:9000/drawdown, or http://….
	DSN       string
	JetStream jetstream.JetStream
	// FlushEvery bounds how long a row waits for its batch; default 500 ms.
	FlushEvery time.Duration
	Logger     *slog.Logger          // nil discards
	Metrics    prometheus.Registerer // nil registers nothing
}

// Projection keeps ClickHouse up to date with LEDGER and SIGNALS.
type Projection struct {
	config  Config
	options *driver.Options
	limits  limits
	log     *slog.Logger
	status  *status

	newInserter func(*driver.Options) inserter // a test's way to crash in the middle
}

// New prepares a projection. It connects to nothing yet.
func New(config Config) (*Projection, error) {
	options, err := parseDSN(config.DSN)
	if err != nil {
		return nil, err
	}
	if config.FlushEvery <= 0 {
		config.FlushEvery = defaultFlushEvery
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Projection{
		config: config, options: options, limits: defaultLimits, log: config.Logger, status: newStatus(), newInserter: newInserter,
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

// Run migrates the database and projects until ctx ends, which is no error. It
// waits for a ClickHouse that does not answer, however long. It returns an error
// only when going on needs a person: ErrDiverged, a refusal of the server's, or
// a message that is no ledger message.
func (p *Projection) Run(ctx context.Context) error {
	wait := backoffMin
	for {
		started := time.Now()
		err := p.project(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrDiverged), errors.Is(err, events.ErrInvalid), refused(err):
			err = fmt.Errorf("project to ClickHouse: %w", err)
			p.status.fail(err)
			return err
		}
		p.status.fail(err)
		p.log.WarnContext(ctx, "clickhouse projection begins again", "err", err, "in", wait)
		if pause.For(ctx, wait) != nil {
			return nil
		}
		if wait = min(2*wait, backoffMax); time.Since(started) > time.Minute {
			wait = backoffMin
		}
	}
}

// project begins from what ClickHouse holds and goes on until something ends it.
func (p *Projection) project(ctx context.Context) error {
	if err := Migrate(ctx, p.config.DSN); err != nil {
		return err
	}
	conn, err := driver.Open(p.options)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer conn.Close()
	settings, err := insertSettings(ctx, conn)
	if err != nil {
		return err
	}
	if err := awaitInserts(ctx, conn, p.options.Auth.Database); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.projectLedger(ctx, conn, settings) })
	g.Go(func() error { return p.projectSignals(ctx, conn, settings) })
	return g.Wait()
}

// retry does what until it succeeds or going on is pointless, with growing
// pauses.
func (p *Projection) retry(ctx context.Context, what func(attempt int) error) error {
	wait := backoffMin
	for attempt := 0; ; attempt++ {
		err := what(attempt)
		switch {
		case err == nil:
			p.status.recover()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrDiverged):
			return err
		}
		p.status.retry(err)
		p.log.WarnContext(ctx, "clickhouse insert is tried again", "err", err, "attempt", attempt+1, "in", wait)
		if pause.For(ctx, wait) != nil {
			return context.Cause(ctx)
		}
		wait = min(2*wait, backoffMax)
	}
}
