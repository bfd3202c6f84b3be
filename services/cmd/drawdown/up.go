package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/natsserver"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

func (a *app) upCommand() *cobra.Command {
	var demo bool
	command := &cobra.Command{
		Use: "up", Short: "Run everything on embedded parts: NATS, ClickHouse and the services", Args: cobra.NoArgs,
		Long: `Run everything in one place: a NATS server and a ClickHouse engine with their
data in one folder, the gateway, rater, projector and enforcer. Ctrl-C stops it
cleanly; the next start goes on with the same data.`,
		Example: "  drawdown up --demo\n  drawdown up --data /var/lib/drawdown",
		RunE:    func(c *cobra.Command, _ []string) error { return a.up(c.Context(), demo) },
	}
	command.Flags().BoolVar(&demo, "demo", false, "show an account go low, exhausted and restored, with real API calls")
	return command
}

// installation is everything that up runs besides the services.
type installation struct {
	nats     *natsserver.Server
	engine   *engine.Engine
	listener net.Listener
	key      string
	log      *slog.Logger
}

// up runs until ctx ends or a part that nothing can do without fails.
func (a *app) up(ctx context.Context, demo bool) error {
	dir := a.dataDir()
	unlock, err := dir.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	logFile, err := os.OpenFile(dir.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = logFile.Close() }() // each line was written when it was logged
	state, err := a.cfg.OpenState()
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }() // a lock, which ends with the process
	a.progress("Drawdown %s, data in %s", versionString(), dir)
	in, err := a.install(ctx, a.logger(logFile))
	if err != nil {
		return err
	}
	defer in.close(a)
	w, err := a.enter(ctx, in.nats.URL(), "drawdown-up", state, in.log)
	if err != nil {
		return err
	}
	defer w.nc.Close()
	if err := dir.WriteEndpoints(in.endpoints(a)); err != nil {
		return err
	}
	return a.serve(ctx, w, in, demo)
}

// install starts the embedded parts side by side.
func (a *app) install(ctx context.Context, log *slog.Logger) (*installation, error) {
	in := &installation{log: log}
	var group errgroup.Group
	group.Go(func() (err error) {
		began := time.Now()
		if in.engine, err = a.startEngine(ctx, log); err == nil {
			a.progress("  ClickHouse  HTTP %s, native %s  (%s)", hostOf(in.engine.HTTPDSN(engine.Database)), hostOf(in.engine.NativeDSN(engine.Database)), since(began))
		}
		return err
	})
	group.Go(func() (err error) {
		began := time.Now()
		if in.nats, err = a.startNATS(log); err == nil {
			a.progress("  NATS        127.0.0.1:%d  (%s)", in.nats.Port(), since(began))
		}
		return err
	})
	group.Go(func() (err error) {
		in.listener, err = listen(a.cfg.HTTPAddr, "--http-addr")
		return err
	})
	err := group.Wait()
	if err == nil {
		in.key, err = a.apiKey()
	}
	if err != nil {
		in.close(a)
		return nil, err
	}
	return in, nil
}

func (a *app) startNATS(log *slog.Logger) (*natsserver.Server, error) {
	password, err := a.dataDir().NATSPassword()
	if err != nil {
		return nil, err
	}
	return natsserver.Start(natsserver.Config{
		Dir: a.dataDir().NATS(), Port: a.cfg.NATSPort, Password: password, Logger: log.With("service", "nats"),
	})
}

func (a *app) apiKey() (string, error) {
	if a.cfg.APIKey != "" {
		return a.cfg.APIKey, nil
	}
	return a.dataDir().APIKey()
}

func (in *installation) endpoints(a *app) config.Endpoints {
	return config.Endpoints{
		HTTP: "http://" + in.listener.Addr().String(), NATS: in.nats.URL(),
		ClickHouse: in.engine.NativeDSN(engine.Database), Analyst: queryURL(in.engine.AnalystHTTPDSN()),
		PID: os.Getpid(), EnginePID: in.engine.PID(),
	}
}

// hostOf is the address in a DSN, without its password.
func hostOf(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "?" // the engine's own; it parses
	}
	return u.Host
}

// queryURL turns an HTTP DSN into a URL that takes queries as they are: the
// database goes from the path, where DSNs have it, into a parameter.
func queryURL(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the engine's own; it parses
	}
	u.RawQuery = url.Values{"database": {strings.TrimPrefix(u.Path, "/")}}.Encode()
	u.Path = "/"
	return u.String()
}

// close stops what was started, readers before what they read.
func (in *installation) close(a *app) {
	if in.listener != nil {
		_ = in.listener.Close() // the gateway has closed it already, if it ever ran
	}
	if in.nats != nil {
		in.nats.Close()
	}
	if in.engine != nil {
		in.engine.Close()
		a.progress("Stopped.")
	}
}

// serve runs the services until ctx ends. HTTP is served once the balances are
// folded, for until then no command is answered.
func (a *app) serve(ctx context.Context, w *world, in *installation, demo bool) error {
	folded, err := w.balances()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	dsn := in.engine.NativeDSN(engine.Database)
	group.Go(func() error { return w.rater(ctx) })
	group.Go(func() error { return w.projector(ctx, folded, dsn) })
	group.Go(func() error { return w.enforcer(ctx) })
	group.Go(func() error {
		if err := w.awaitFolded(ctx, folded); err != nil {
			return err
		}
		return w.gateway(ctx, in.listener, in.key, dsn)
	})
	group.Go(func() error { return a.welcome(ctx, w, in, demo) })
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// welcome shows a person what runs, the demo if asked, and what to try.
func (a *app) welcome(ctx context.Context, w *world, in *installation, demo bool) error {
	if err := a.awaitReady(ctx, "http://"+in.listener.Addr().String()); err != nil {
		return err
	}
	a.progress("  gateway     http://%s", in.listener.Addr())
	if demo {
		if err := a.demo(ctx, w, in); err != nil && ctx.Err() == nil {
			in.log.Error("demo ended early", "err", err)
			a.progress("  The demo ended early: %v", err)
		}
	}
	a.printNext(in)
	return nil
}

// awaitFolded waits until all balances here stand at the end of the ledger, and
// says so if that takes long. When others have all partitions, theirs count.
func (w *world) awaitFolded(ctx context.Context, folded *balances.Projector) error {
	const tellAfter = 2 * time.Second
	began, told := time.Now(), time.Time{}
	for !folded.Ready() {
		if time.Since(began) > tellAfter && time.Since(told) > tellAfter {
			here := folded.Status()
			if len(here) == 0 && w.foldedElsewhere(ctx) {
				return nil
			}
			through := uint64(0)
			for _, s := range here {
				through = max(through, s.Sequence)
			}
			w.app.progress("  ledger      folding the balances, at sequence %d", through)
			told = time.Now()
		}
		if err := pause.For(ctx, readyPoll/5); err != nil {
			return err
		}
	}
	return nil
}

// foldedElsewhere reports whether other instances have the balances of all
// partitions at the end of the ledger.
func (w *world) foldedElsewhere(ctx context.Context) bool {
	standing, err := lease.Read(ctx, w.broker)
	if err != nil {
		return false // asked again
	}
	for p := range w.streams.Partitions {
		if standing.Leases[lease.Balances][p].Report.State != lease.StateLive {
			return false
		}
	}
	return true
}

// listen opens a TCP listener; flag is what chooses another address.
func listen(address, flag string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is taken; stop what uses it or choose another with %s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

func since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Millisecond) }
