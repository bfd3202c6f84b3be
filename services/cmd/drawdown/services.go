package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/enforcer"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/analytics"
	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
	"github.com/drawdown-credits/drawdown/services/rater"
	"github.com/drawdown-credits/drawdown/services/rater/trim"
)

// world is what every service works with.
type world struct {
	app      *app
	nc       *nats.Conn
	js       jetstream.JetStream
	broker   stream.Broker
	streams  *stream.Streams
	state    *config.State // nil in a process that shares nothing
	registry *prometheus.Registry
	log      *slog.Logger
	health   health
}

// health is what has gone wrong for good in a process that goes on.
type health struct {
	mu      sync.Mutex
	stopped map[string]error
	watched []func() map[string]error
}

// watch adds parts that say themselves what has stopped.
func (h *health) watch(stopped func() map[string]error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched = append(h.watched, stopped)
}

func (h *health) stop(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped == nil {
		h.stopped = map[string]error{}
	}
	h.stopped[part] = err
}

// Stopped returns the parts that have stopped, and why.
func (h *health) Stopped() map[string]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := maps.Clone(h.stopped)
	for _, stopped := range h.watched {
		for part, err := range stopped() {
			if all == nil {
				all = map[string]error{}
			}
			all[part] = err
		}
	}
	return all
}

const connectTimeout = 30 * time.Second

// enter connects to NATS and makes sure that the streams are there, and that
// state, if any, is of their installation.
func (a *app) enter(ctx context.Context, natsURL, name string, state *config.State, log *slog.Logger) (*world, error) {
	// Nothing is kept to be sent after an outage: whoever appended it has given
	// up by then, or tries again itself.
	nc, err := nats.Connect(natsURL, nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("disconnected from NATS", "err", err) }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("reconnected to NATS") }))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	w := &world{app: a, nc: nc, state: state, registry: prometheus.NewRegistry(), log: log}
	w.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := w.open(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return w, nil
}

func (w *world) open(ctx context.Context) (err error) {
	if w.js, err = jetstream.New(w.nc); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if w.broker, err = stream.NewBroker(w.nc); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg := w.app.cfg
	w.streams, err = stream.Ensure(bounded, w.js, stream.Config{
		Partitions: cfg.Partitions, Replicas: cfg.Replicas, UsageMaxBytes: cfg.UsageMaxBytes,
	})
	if err != nil || w.state == nil {
		return err
	}
	return w.state.Claim(w.streams.Installation)
}

func (w *world) logger(service string) *slog.Logger { return w.log.With("service", service) }

// share gives this process its part of a service's partitions.
func (w *world) share(service string, partitions int) (lease.Share, error) {
	return lease.New(lease.Config{
		Broker: w.broker, Service: service, Partitions: partitions, Instance: w.state.Instance, Logger: w.logger(service),
		Create: func(ctx context.Context) error { return stream.EnsureLeases(ctx, w.js, w.app.cfg.Replicas) },
	})
}

func (w *world) rater(ctx context.Context) error {
	share, err := w.share(lease.Rater, w.streams.Partitions)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	r := rater.New(rater.Config{
		Broker: w.broker, Share: share, Partitions: w.streams.Partitions, Installation: w.streams.Installation,
		StateDir: w.state.Dir, Horizon: w.app.cfg.DedupHorizon, MaxAhead: w.app.cfg.MaxAhead, Logger: w.logger("rater"), Metrics: w.registry,
	})
	group.Go(func() error { return r.Run(ctx) })
	if keep := w.app.cfg.UsageKeep; keep > 0 {
		group.Go(func() error {
			trim.Run(ctx, trim.Config{
				Broker: w.broker, JetStream: w.js, Partitions: w.streams.Partitions, Keep: keep, Logger: w.logger("rater"),
			})
			return nil
		})
	}
	return group.Wait()
}

func (w *world) balances() (*balances.Projector, error) {
	share, err := w.share(lease.Balances, w.streams.Partitions)
	if err != nil {
		return nil, err
	}
	return balances.New(balances.Config{
		Broker: w.broker, Share: share, Partitions: w.streams.Partitions, Installation: w.streams.Installation, Now: config.Clock(),
		Snapshots: snapshot.NewStore(w.broker), Logger: w.logger("projector"), Registerer: w.registry,
	})
}

func (w *world) clickhouse(ctx context.Context, dsn string) error {
	share, err := w.share(lease.ClickHouse, 1)
	if err != nil {
		return err
	}
	p, err := clickhouse.New(clickhouse.Config{
		Broker: w.broker, Share: share, Installation: w.streams.Installation, Partitions: w.streams.Partitions, DSN: dsn,
		FlushEvery: w.app.cfg.FlushInterval, Snapshots: snapshot.NewStore(w.broker), Logger: w.logger("projector"), Metrics: w.registry,
	})
	if err != nil {
		return err
	}
	w.health.watch(p.Halted)
	return p.Run(ctx)
}

// projector runs both projections. One that stops leaves the other running.
func (w *world) projector(ctx context.Context, folded *balances.Projector, dsn string) error {
	var group errgroup.Group
	group.Go(func() error { return w.apart(ctx, "balances", folded.Run) })
	group.Go(func() error {
		return w.apart(ctx, "clickhouse", func(ctx context.Context) error { return w.clickhouse(ctx, dsn) })
	})
	return group.Wait()
}

// apart runs a part whose failure must not end the others: it is told of at
// once, by the log, the health endpoint and to a person, and returned when all
// end.
func (w *world) apart(ctx context.Context, part string, run func(context.Context) error) error {
	err := run(ctx)
	if err != nil && ctx.Err() == nil {
		w.log.Error("part stopped", "part", part, "err", err)
		w.health.stop("projection "+part, err)
		w.app.progress("  The projection into %s has stopped: %v", part, err)
	}
	return err
}

func (w *world) enforcer(ctx context.Context) error {
	share, err := w.share(lease.Enforcer, w.streams.Partitions)
	if err != nil {
		return err
	}
	e, err := enforcer.New(enforcer.Config{
		Broker: w.broker, Partitions: w.streams.Partitions, Share: share, Logger: w.logger("enforcer"), Registerer: w.registry,
	})
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

// restore reads a snapshot of the balances' fold, from which a past point is
// folded.
func (w *world) restore(ctx context.Context, partition int, atMost uint64) (*ledger.State, stream.Mark) {
	c := balances.Config{Broker: w.broker, Partitions: w.streams.Partitions, Installation: w.streams.Installation, Snapshots: snapshot.NewStore(w.broker)}
	state, mark, err := c.Restore(ctx, partition, atMost)
	if err != nil {
		w.logger("gateway").Warn("snapshot is not read", "partition", partition, "err", err)
	}
	return state, mark
}

// gateway serves HTTP on listener. ClickHouse is needed for history alone.
func (w *world) gateway(ctx context.Context, listener net.Listener, key, dsn string) error {
	emitter, err := emit.New(w.nc, emit.Options{Partitions: w.streams.Partitions})
	if err != nil {
		return fmt.Errorf("build the emitter: %w", err)
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := emitter.Close(bounded); err != nil {
			w.log.Warn("emitter closed with events unacknowledged", "err", err)
		}
	}()
	history, err := analytics.Open(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = history.Close() }() // nothing is written over it
	g, err := gateway.New(gateway.Config{
		NATS: w.nc, JetStream: w.js, Streams: w.streams, Emitter: emitter, Analytics: history, Restore: w.restore,
		CheckRateCard: checkRateCard, CompileRateCard: compileRateCard, Stopped: w.health.Stopped, APIKey: key,
		MaxAhead: w.app.cfg.MaxAhead, Horizon: w.app.cfg.DedupHorizon, Now: config.Clock(), Logger: w.logger("gateway"), Registerer: w.registry, Gatherer: w.registry, Version: versionString(),
	})
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }() // ends with its connection
	return g.Serve(ctx, listener)
}

// shared makes the command of one service whose instances share partitions.
func (a *app) shared(use, short string, run func(ctx context.Context, w *world) error) *cobra.Command {
	return a.service(use, short, a.cfg.OpenState, run)
}

// service makes the command of one service that runs alone.
func (a *app) service(use, short string, openState func() (*config.State, error), run func(ctx context.Context, w *world) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Example: "  DRAWDOWN_NATS_URL=nats://nats:4222 drawdown " + use,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.cfg.NATSURL == "" {
				return usageError("DRAWDOWN_NATS_URL is empty: expected the NATS server to connect to")
			}
			log := a.logger(a.errs)
			state, err := openState()
			if err != nil {
				return err
			}
			if state != nil {
				defer func() { _ = state.Close() }() // a lock, which ends with the process
				log = log.With("instance", state.Instance)
			}
			w, err := a.enter(c.Context(), a.cfg.NATSURL, "drawdown-"+use, state, log)
			if err != nil {
				return err
			}
			defer w.nc.Close()
			log.Info("started", "service", use, "partitions", w.streams.Partitions)
			err = run(c.Context(), w)
			log.Info("stopped", "service", use)
			if c.Context().Err() != nil {
				return nil
			}
			return err
		},
	}
}

func (a *app) raterCommand() *cobra.Command {
	return a.shared("rater", "Run the rater: usage events in, debits on the ledger", func(ctx context.Context, w *world) error {
		return w.withOperations(ctx, w.rater)
	})
}

func (a *app) projectorCommand() *cobra.Command {
	return a.shared("projector", "Run the projector: the ledger in, balances and ClickHouse rows out", func(ctx context.Context, w *world) error {
		if a.cfg.ClickHouseDSN == "" {
			return usageError("DRAWDOWN_CLICKHOUSE_DSN is empty: expected clickhouse://user:password@host:9000/drawdown")
		}
		folded, err := w.balances()
		if err != nil {
			return err
		}
		return w.withOperations(ctx, func(ctx context.Context) error { return w.projector(ctx, folded, a.cfg.ClickHouseDSN) })
	})
}

func (a *app) enforcerCommand() *cobra.Command {
	return a.shared("enforcer", "Run the enforcer: balances in, signals out", func(ctx context.Context, w *world) error {
		return w.withOperations(ctx, w.enforcer)
	})
}

func (a *app) gatewayCommand() *cobra.Command {
	stateless := func() (*config.State, error) { return nil, nil }
	return a.service("gateway", "Run the gateway: HTTP in and out", stateless, func(ctx context.Context, w *world) error {
		if a.cfg.APIKey == "" {
			return usageError("DRAWDOWN_API_KEY is empty: expected the key that callers present")
		}
		if a.cfg.ClickHouseDSN == "" {
			return usageError("DRAWDOWN_CLICKHOUSE_DSN is empty: expected clickhouse://user:password@host:9000/drawdown")
		}
		listener, err := listen(a.cfg.HTTPAddr, "--http-addr")
		if err != nil {
			return err
		}
		return w.gateway(ctx, listener, a.cfg.APIKey, a.cfg.ClickHouseDSN)
	})
}

// withOperations serves /metrics and /healthz beside a service without a
// gateway.
func (w *world) withOperations(ctx context.Context, run func(context.Context) error) error {
	listener, err := listen(w.app.cfg.MetricsAddr, "--metrics-addr")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		if !w.nc.IsConnected() {
			http.Error(rw, "not connected to NATS", http.StatusServiceUnavailable)
			return
		}
		for part, err := range w.health.Stopped() {
			http.Error(rw, part+" has stopped: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(rw, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve metrics: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	group.Go(func() error { return run(ctx) })
	return group.Wait()
}
