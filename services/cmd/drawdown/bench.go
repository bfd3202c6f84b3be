package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/bench"
	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

const benchBound = 15 * time.Minute

const benchCard = `card: default
rules:
  - name: bench
    match: {operation: "` + bench.Operation + `"}
    price: {flat: "0.5", per_unit: [{quantity: tokens_in, price: "1", per: "1000"}, {quantity: tokens_out, price: "2", per: "1000"}]}
`

// benchPrice is what a benchmark's call costs by benchCard.
var benchPrice = events.MustCredits("0.962") // 0.5 + 374/1000 + 2 × 44/1000

// benchResult is what a benchmark measured.
type benchResult struct {
	Version    string              `json:"version"`
	Throughput []bench.Throughput  `json:"throughput"`
	Latency    []bench.Latency     `json:"exhaustion_latency"`
	Holds      []bench.HoldLatency `json:"hold_latency"`
	Memory     []processMemory     `json:"memory"`
}

type processMemory struct {
	Process  string `json:"process"`
	When     string `json:"when"`
	Resident int64  `json:"resident_mib"`
}

func (a *app) benchCommand() *cobra.Command {
	var count, accounts, trials int
	command := &cobra.Command{
		Use: "bench", Short: "Measure throughput, latency and memory on an installation of its own", Args: cobra.NoArgs,
		Long: `Start an installation in a temporary folder on free ports and measure it from
outside: events per second from publish to balance, beside what plain JetStream
does with the same bytes on the same server; the time from the event that
exhausts an account to credits.exhausted, at a low and at half load; the time to
place a hold, over HTTP and over a NATS request; the memory of each process.`,
		Example: "  drawdown bench --events 100000 --trials 200",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeoutCause(c.Context(), benchBound, errors.New("the benchmark took too long"))
			defer cancel()
			return a.bench(ctx, count, accounts, trials)
		},
	}
	command.Flags().IntVar(&count, "events", 200_000, "events per throughput run; single messages are a tenth of it")
	command.Flags().IntVar(&accounts, "accounts", 1000, "accounts that share them")
	command.Flags().IntVar(&trials, "trials", 300, "latency trials per load")
	return command
}

func (a *app) bench(ctx context.Context, count, accounts, trials int) (err error) {
	dir, err := os.MkdirTemp("", "drawdown-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the benchmark: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := config.DataDir(filepath.Join(dir, "data"))
	a.progress("Starting an installation …")
	child, endpoints, err := a.startChild(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopChild(child)) }()
	key, err := data.ReadAPIKey()
	if err != nil {
		return fmt.Errorf("read the benchmark's API key: %w", err)
	}
	target := &client{base: endpoints.HTTP, key: key, http: &http.Client{Timeout: time.Minute}}
	if err := a.awaitReady(ctx, target.base); err != nil {
		return err
	}
	if _, err := target.call(ctx, http.MethodPut, "/v1/ratecards/default", typeYAML, []byte(benchCard), nil); err != nil {
		return fmt.Errorf("apply the benchmark's rate card: %w", err)
	}
	result := benchResult{Version: versionString()}
	if err := a.measure(ctx, target, endpoints, benchSize{count, accounts, trials}, &result); err != nil {
		return err
	}
	return a.showValue(result, func() { a.printBench(result) })
}

type benchSize struct{ events, accounts, trials int }

func (a *app) measure(ctx context.Context, target *client, endpoints config.Endpoints, size benchSize, result *benchResult) error {
	nc, streams, err := observe(ctx, endpoints.NATS, "drawdown-bench")
	if err != nil {
		return err
	}
	defer nc.Close()
	c := bench.Config{
		NATS: nc, Streams: streams, Events: size.events, Accounts: size.accounts, Trials: size.trials, Price: benchPrice, Progress: a.progress,
		Grant: func(ctx context.Context, account string, amount events.Credits) error {
			body, err := json.Marshal(map[string]string{"id": "bench", "amount": amount.String()})
			if err != nil {
				return err
			}
			_, err = target.call(ctx, http.MethodPost, "/v1/accounts/"+account+"/grants", typeJSON, body, nil)
			return err
		},
	}
	c.Hold = func(ctx context.Context, account string, h events.Hold) error {
		body, err := json.Marshal(h)
		if err != nil {
			return err
		}
		_, err = target.call(ctx, http.MethodPost, holdsOf(account), typeJSON, body, nil)
		return err
	}
	result.remember(endpoints, "idle")
	batches, err := bench.New(c)
	if err != nil {
		return err
	}
	c.Events = max(size.events/10, 1)
	singles, err := bench.New(c)
	if err != nil {
		return err
	}
	for _, run := range []func(context.Context) (bench.Throughput, error){batches.Batches, singles.Singles, singles.Chain} {
		t, err := run(ctx)
		if err != nil {
			return err
		}
		result.Throughput = append(result.Throughput, t)
	}
	result.remember(endpoints, "after throughput")
	for _, load := range []struct {
		name      string
		perSecond float64
	}{{"low", 100}, {"half", result.Throughput[0].PerSecond / 2}} {
		l, err := batches.Exhaustion(ctx, load.name, load.perSecond)
		if err != nil {
			return err
		}
		result.Latency = append(result.Latency, l)
	}
	if result.Holds, err = batches.Holds(ctx); err != nil {
		return err
	}
	result.remember(endpoints, "after latency")
	return nil
}

// startChild runs `drawdown up` on data and free ports, and waits until it
// says how to reach it.
func (a *app) startChild(ctx context.Context, data config.DataDir) (*exec.Cmd, config.Endpoints, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, config.Endpoints{}, fmt.Errorf("find this program: %w", err)
	}
	child := exec.Command(program, "up", "--data", string(data), "--http-addr", "127.0.0.1:0",
		"--nats-port", "0", "--clickhouse-http-port", "0", "--clickhouse-native-port", "0", "--engine-lib", a.cfg.EngineLib)
	child.Stderr = a.errs
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is passed on by stopChild
	if err := child.Start(); err != nil {
		return nil, config.Endpoints{}, fmt.Errorf("start the installation: %w", err)
	}
	for {
		if endpoints, err := data.ReadEndpoints(); err == nil {
			return child, endpoints, nil
		}
		if err := child.Process.Signal(syscall.Signal(0)); err != nil {
			return nil, config.Endpoints{}, errors.Join(errors.New("the installation ended before it was ready"), child.Wait())
		}
		if err := pause.For(ctx, readyPoll); err != nil {
			return nil, config.Endpoints{}, errors.Join(err, stopChild(child))
		}
	}
}

func stopChild(child *exec.Cmd) error {
	if err := child.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop the installation: %w", err)
	}
	if err := child.Wait(); err != nil {
		return fmt.Errorf("the installation ended badly: %w", err)
	}
	return nil
}

// remember notes how much memory each process has resident.
func (r *benchResult) remember(endpoints config.Endpoints, at string) {
	for _, process := range []struct {
		name string
		pid  int
	}{{"drawdown up (NATS and services)", endpoints.PID}, {"clickhouse", endpoints.EnginePID}} {
		if mib, err := residentMiB(process.pid); err == nil {
			r.Memory = append(r.Memory, processMemory{Process: process.name, When: at, Resident: mib})
		}
	}
}

func residentMiB(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib >> 10, err
		}
	}
	return 0, errors.New("the process has no VmRSS")
}

func (a *app) printBench(r benchResult) {
	rows := [][]any{{"\nTHROUGHPUT, publish to balance", "EVENTS/S", "STORED/S", "OF PLAIN CHAIN"}}
	plain := r.Throughput[len(r.Throughput)-1].PerSecond
	for _, t := range r.Throughput {
		rows = append(rows, []any{t.How, fmt.Sprintf("%.0f", t.PerSecond), fmt.Sprintf("%.0f", t.Stored), fmt.Sprintf("%.2f ×", t.PerSecond/plain)})
	}
	table(a.out, rows...)
	rows = [][]any{{"\nLATENCY, exhausting event to credits.exhausted", "TRIALS", "P50 MS", "P99 MS", "MAX MS"}}
	for _, l := range r.Latency {
		rows = append(rows, []any{fmt.Sprintf("at %.0f events/s", l.Load), l.Trials, l.P50, l.P99, l.Max})
	}
	table(a.out, rows...)
	rows = [][]any{{"\nLATENCY, asking for a hold to hearing that it is placed", "TRIALS", "P50 MS", "P99 MS", "MAX MS"}}
	for _, l := range r.Holds {
		rows = append(rows, []any{"over " + l.How, l.Trials, l.P50, l.P99, l.Max})
	}
	table(a.out, rows...)
	rows = [][]any{{"\nMEMORY", "WHEN", "MIB"}}
	for _, m := range r.Memory {
		rows = append(rows, []any{m.Process, m.When, m.Resident})
	}
	table(a.out, rows...)
}
