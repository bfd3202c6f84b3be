package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/process"
	"github.com/drawdown-credits/drawdown/services/chaos/proxy"
	"github.com/drawdown-credits/drawdown/services/chaos/workload"
)

// service is one instance of a service of Drawdown.
type service struct {
	*process.Process
	kind  string // rater, projector, enforcer or gateway
	data  string // folder
	clock string // file with what its clock is off by
	http  string // address of its own endpoints
	nats  []*proxy.Proxy
	sql   *proxy.Proxy
	extra bool // started only for a while
}

// extraNumber is the number of the instance that is started when one more is
// asked for.
const extraNumber = 9

func instance(kind string, number int) string { return fmt.Sprintf("%s-%d", kind, number) }

// newService prepares an instance.
func (w *world) newService(kind string, number int) (*service, error) {
	name := instance(kind, number)
	s := &service{kind: kind, extra: number == extraNumber, data: filepath.Join(w.dir, name), clock: filepath.Join(w.dir, name+".clock")}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of %s: %w", name, err)
	}
	if err := s.setClock(0); err != nil {
		return nil, err
	}
	port, err := process.Port()
	if err != nil {
		return nil, err
	}
	s.http = process.Loopback(port)
	if s.nats, err = w.clientProxies(); err != nil {
		return nil, err
	}
	if s.sql, err = w.through(w.toEngine); err != nil {
		return nil, err
	}
	dsn, err := url.Parse(w.engineIn.ClickHouse)
	if err != nil {
		return nil, fmt.Errorf("read the engine's DSN: %w", err)
	}
	dsn.Host = s.sql.Address()
	s.Process = process.New(process.Spec{
		Name: name, Path: w.drawdown, Args: []string{kind}, Log: w.logOf(name),
		Env: []string{
			"DRAWDOWN_NATS_URL=" + natsURLOf(s.nats),
			"DRAWDOWN_CLICKHOUSE_DSN=" + dsn.String(),
			"DRAWDOWN_DATA_DIR=" + s.data,
			"DRAWDOWN_METRICS_ADDR=" + s.http,
			"DRAWDOWN_HTTP_ADDR=" + s.http,
			"DRAWDOWN_API_KEY=" + apiKey,
			"DRAWDOWN_CLOCK_OFFSET_FILE=" + s.clock,
			fmt.Sprintf("DRAWDOWN_PARTITIONS=%d", w.partitions),
			fmt.Sprintf("DRAWDOWN_REPLICAS=%d", len(w.nodes)),
		},
	})
	w.services = append(w.services, s)
	return s, nil
}

// setClock makes the service's clock be off by d.
func (s *service) setClock(d time.Duration) error {
	if err := os.WriteFile(s.clock+".new", []byte(d.String()), 0o600); err != nil {
		return fmt.Errorf("set the clock of %s: %w", s.clock, err)
	}
	return os.Rename(s.clock+".new", s.clock)
}

// cut cuts the service off from NATS, or heals that.
func (s *service) cut(m proxy.Mode) {
	setAll(s.nats, m)
}

// writes is what a service says to NATS when it writes what it is there for.
var writes = map[string]string{
	"rater": "PUB ledger.", "projector": "PUB $KV.BALANCES.", "enforcer": "PUB credits.", "gateway": "PUB usage.",
}

// keeps is what a service says to NATS when it keeps what it cannot use.
const keeps = "PUB deadletter."

// ambushMax is how long a cut waits for the service to write something.
const ambushMax = 2 * time.Second

// ambush cuts the service off in the moment in which it says something to NATS,
// so that the message is on its way and its outcome unknown.
func (s *service) ambush(ctx context.Context, saying string, m proxy.Mode) {
	lurk(ctx, s.nats, func(p *proxy.Proxy, sprung func()) { p.When(saying, func() { s.cut(m); sprung() }) })
	s.cut(m)
}

// ambushInsert makes the service deaf for ClickHouse while it inserts: the rows
// arrive, and the answer does not.
func (s *service) ambushInsert(ctx context.Context) {
	lurk(ctx, []*proxy.Proxy{s.sql}, func(p *proxy.Proxy, sprung func()) {
		p.Behind("INSERT INTO", func() { p.Set(proxy.Deaf); sprung() })
	})
	s.sql.Set(proxy.Deaf)
}

// lurk sets traps and waits until one springs, but not for ever.
func lurk(ctx context.Context, proxies []*proxy.Proxy, set func(p *proxy.Proxy, sprung func())) {
	sprung := make(chan struct{}, len(proxies))
	for _, p := range proxies {
		set(p, func() { sprung <- struct{}{} })
	}
	timeout := time.NewTimer(ambushMax)
	defer timeout.Stop()
	select {
	case <-sprung:
	case <-timeout.C:
	case <-ctx.Done():
	}
	for _, p := range proxies {
		p.When("", nil)
	}
}

// startServices starts the instances: first those that make the streams and
// answer commands, so that the rate cards are known before anything is rated.
func (w *world) startServices(ctx context.Context, counts map[string]int, start time.Time) (*workload.Gateway, error) {
	gateway := &workload.Gateway{Key: apiKey, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	for _, kinds := range [][]string{{"projector", "gateway"}, {"rater", "enforcer"}} {
		for _, kind := range kinds {
			for number := range counts[kind] {
				s, err := w.newService(kind, number+1)
				if err != nil {
					return nil, err
				}
				if err := s.Start(); err != nil {
					return nil, err
				}
				if kind == "gateway" {
					gateway.URLs = append(gateway.URLs, "http://"+s.http)
				}
			}
		}
		if kinds[1] == "enforcer" {
			break
		}
		for version, card := range workload.Cards(start) {
			if err := w.applyCard(ctx, gateway, card, version+1); err != nil {
				return nil, err
			}
		}
	}
	for _, kind := range []string{"rater", "projector", "enforcer"} {
		if _, err := w.newService(kind, extraNumber); err != nil {
			return nil, err
		}
	}
	return gateway, nil
}

// applyCard applies a version of the rate card and waits until it can be read.
func (w *world) applyCard(ctx context.Context, g *workload.Gateway, card string, version int) error {
	header := map[string]string{"Content-Type": "application/json"}
	done := func(method, path, body string) func() bool {
		return func() bool {
			status, _, err := g.Do(ctx, method, path, header, []byte(body))
			return err == nil && (status == http.StatusOK || status == http.StatusCreated)
		}
	}
	if err := w.eventually(ctx, "a rate card is applied", done(http.MethodPut, "/v1/ratecards/default", card)); err != nil {
		return err
	}
	return w.eventually(ctx, "the rate card can be read", done(http.MethodGet, fmt.Sprintf("/v1/ratecards/default?version=%d", version), ""))
}
