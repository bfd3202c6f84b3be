package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/disk"
	"github.com/drawdown-credits/drawdown/services/chaos/process"
	"github.com/drawdown-credits/drawdown/services/chaos/proxy"
	"github.com/drawdown-credits/drawdown/services/chaos/schedule"
	"github.com/drawdown-credits/drawdown/services/chaos/workload"
)

// inflicter does faults, at most one at a time to each target.
type inflicter struct {
	*world
	js jetstream.JetStream // direct

	mu   sync.Mutex
	busy map[string]chan struct{}
}

// claim waits until nothing else is done to a target.
func (i *inflicter) claim(target string) (release func()) {
	i.mu.Lock()
	turn := i.busy[target]
	if turn == nil {
		turn = make(chan struct{}, 1)
		i.busy[target] = turn
	}
	i.mu.Unlock()
	turn <- struct{}{}
	return func() { <-turn }
}

// inflict does a fault, and returns when it is healed.
func (i *inflicter) inflict(ctx context.Context, f schedule.Fault) error {
	switch f.Kind {
	case schedule.Rolling:
		return i.rolling(ctx)
	case schedule.Up:
		return i.oneMore(ctx, f)
	case schedule.Producers:
		modes := map[string]proxy.Mode{"stall": proxy.Stalled, "reset": proxy.Refused, "deaf": proxy.Deaf}
		defer i.claim("producers")()
		return during(ctx, f, func() { setAll(i.producers, modes[f.Target]) }, func() { setAll(i.producers, proxy.Open) })
	case schedule.EngineKill, schedule.EngineGone, schedule.EnginePause, schedule.EngineStalled:
		defer i.claim("clickhouse")()
		return i.clickhouse(ctx, f)
	case schedule.NodeKill, schedule.NodePause, schedule.NodeRestart, schedule.NodeCut, schedule.NodeAlone, schedule.LeaderKill, schedule.DiskFull:
		defer i.claim("nats")()
		return i.nats(ctx, f)
	}
	defer i.claim(f.Target)()
	if f.Calm {
		defer i.claim("nats")()
	}
	return i.service(ctx, f)
}

// during does something, waits, and undoes it.
func during(ctx context.Context, f schedule.Fault, do, undo func()) error {
	do()
	workload.Pause(ctx, f.For)
	undo()
	return nil
}

func setAll(proxies []*proxy.Proxy, m proxy.Mode) {
	for _, p := range proxies {
		p.Set(m)
	}
}

func (i *inflicter) find(name string) *service {
	for _, s := range i.services {
		if s.Name() == name {
			return s
		}
	}
	panic("chaos: the schedule names an instance that is not there: " + name)
}

// service does a fault to one instance.
func (i *inflicter) service(ctx context.Context, f schedule.Fault) error {
	s := i.find(f.Target)
	switch f.Kind {
	case schedule.Kill:
		s.Kill()
	case schedule.Down:
		i.stop(s)
	case schedule.Doomed:
		saying := writes[s.kind]
		if s.kind == "rater" {
			saying = keeps
		}
		s.ambush(ctx, saying, proxy.Stalled)
		workload.Pause(ctx, f.For)
		s.Kill()
		s.cut(proxy.Refused)
		s.cut(proxy.Open)
		return s.Start()
	case schedule.Forget:
		s.Kill()
		if err := errors.Join(os.RemoveAll(s.data), os.MkdirAll(s.data, 0o700)); err != nil {
			return fmt.Errorf("empty the folder of %s: %w", s.Name(), err)
		}
	case schedule.Pause:
		return during(ctx, f, func() { s.Signal(syscall.SIGSTOP) }, func() { s.Signal(syscall.SIGCONT) })
	case schedule.Stall:
		return during(ctx, f, func() { s.ambush(ctx, writes[s.kind], proxy.Stalled) }, func() { s.cut(proxy.Open) })
	case schedule.Deaf:
		return during(ctx, f, func() { s.ambush(ctx, writes[s.kind], proxy.Deaf) }, func() { s.cut(proxy.Open) })
	case schedule.Reset:
		return during(ctx, f, func() { s.cut(proxy.Refused) }, func() { s.cut(proxy.Open) })
	case schedule.Clock:
		if err := s.setClock(f.Jump); err != nil {
			return err
		}
		workload.Pause(ctx, f.For)
		return s.setClock(0)
	}
	workload.Pause(ctx, f.For)
	return s.Start()
}

// stop asks an instance to end.
func (i *inflicter) stop(s *service) {
	if !s.Stop(stopMax) {
		i.world.mu.Lock()
		i.forced++
		i.world.mu.Unlock()
	}
}

// rolling restarts every instance, one after the other.
func (i *inflicter) rolling(ctx context.Context) error {
	for _, s := range i.services {
		if ctx.Err() != nil {
			return nil
		}
		if s.extra {
			continue
		}
		release := i.claim(s.Name())
		i.stop(s)
		err := s.Start()
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// oneMore runs one more instance for a while.
func (i *inflicter) oneMore(ctx context.Context, f schedule.Fault) error {
	defer i.claim("extra " + f.Target)()
	s := i.find(instance(f.Target, extraNumber))
	if err := s.Start(); err != nil {
		return err
	}
	workload.Pause(ctx, f.For)
	i.stop(s)
	return nil
}

// nats does a fault to the servers.
func (i *inflicter) nats(ctx context.Context, f schedule.Fault) error {
	if f.Kind == schedule.NodeCut {
		from, to, _ := strings.Cut(f.Target, " ")
		pair := i.between(from, to)
		return i.cutRoutes(ctx, f, pair)
	}
	n := i.node(ctx, f)
	switch f.Kind {
	case schedule.NodeAlone:
		return i.cutRoutes(ctx, f, i.between(n.name, ""))
	case schedule.NodePause:
		if err := during(ctx, f, func() { n.Signal(syscall.SIGSTOP) }, func() { n.Signal(syscall.SIGCONT) }); err != nil {
			return err
		}
	case schedule.DiskFull:
		return i.fill(ctx, f, n)
	case schedule.NodeRestart:
		n.Stop(stopMax)
		workload.Pause(ctx, f.For)
	default:
		n.Kill()
		workload.Pause(ctx, f.For)
	}
	if err := n.Start(); err != nil {
		return err
	}
	return i.eventually(ctx, n.name+" is healthy again", n.healthy)
}

// node is the node that a fault hits: the one named, or the leader of the
// stream named.
func (i *inflicter) node(ctx context.Context, f schedule.Fault) *node {
	name := f.Target
	if f.Kind == schedule.LeaderKill {
		bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if s, err := i.js.Stream(bounded, f.Target); err == nil && s.CachedInfo().Cluster != nil {
			name = s.CachedInfo().Cluster.Leader
		}
	}
	for _, n := range i.nodes {
		if n.name == name {
			return n
		}
	}
	return i.nodes[0] // the stream has no leader just now
}

// between returns the routes between two nodes, or between one and all.
func (i *inflicter) between(a, b string) []*proxy.Proxy {
	var found []*proxy.Proxy
	for pair, p := range i.routes {
		from, to := i.nodes[pair[0]].name, i.nodes[pair[1]].name
		if from == a && (to == b || b == "") || to == a && (from == b || b == "") {
			found = append(found, p)
		}
	}
	return found
}

func (i *inflicter) cutRoutes(ctx context.Context, f schedule.Fault, routes []*proxy.Proxy) error {
	mode := proxy.Stalled
	if f.Number%2 == 0 {
		mode = proxy.Refused
	}
	return during(ctx, f, func() { setAll(routes, mode) }, func() { setAll(routes, proxy.Open) })
}

// fill fills the disk of a node, and frees it. A server that met the full disk
// has shut JetStream down, and is restarted, as its operator would.
func (i *inflicter) fill(ctx context.Context, f schedule.Fault, n *node) error {
	free := func() error { return n.disk.Free() }
	if n.disk == nil {
		permit, err := disk.Refuse(n.PID())
		if err != nil {
			return err
		}
		free = permit
	} else if err := n.disk.Fill(); err != nil {
		return err
	}
	workload.Pause(ctx, f.For)
	if err := free(); err != nil {
		return err
	}
	if n.healthy() {
		return nil
	}
	i.world.mu.Lock()
	i.revive++
	i.world.mu.Unlock()
	n.Stop(stopMax)
	if err := n.Start(); err != nil {
		return err
	}
	return i.eventually(ctx, n.name+" is healthy once its disk has room", n.healthy)
}

// clickhouse does a fault to the engine.
func (i *inflicter) clickhouse(ctx context.Context, f schedule.Fault) error {
	child := func(s syscall.Signal) func() {
		return func() { process.SignalChildren(i.engine.PID(), s) }
	}
	switch f.Kind {
	case schedule.EngineKill:
		child(syscall.SIGKILL)()
	case schedule.EnginePause:
		if err := during(ctx, f, child(syscall.SIGSTOP), child(syscall.SIGCONT)); err != nil {
			return err
		}
	case schedule.EngineStalled:
		return i.cutEngine(ctx, f)
	default:
		i.engine.Kill()
		workload.Pause(ctx, f.For)
		if err := i.engine.Start(); err != nil {
			return err
		}
	}
	return i.eventually(ctx, "ClickHouse answers again", i.engineAnswers)
}

// cutEngine cuts all services off from ClickHouse: in the middle of an insert,
// whose answer is lost, or with nobody told.
func (i *inflicter) cutEngine(ctx context.Context, f schedule.Fault) error {
	var cutting sync.WaitGroup
	for _, s := range i.services {
		cutting.Go(func() {
			if f.Number%4 == 0 {
				s.sql.Set(proxy.Stalled)
			} else {
				s.ambushInsert(ctx)
			}
		})
	}
	cutting.Wait()
	workload.Pause(ctx, f.For)
	for _, s := range i.services {
		s.sql.Set(proxy.Refused)
		s.sql.Set(proxy.Open)
	}
	return nil
}
