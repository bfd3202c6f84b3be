package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Status is how an installation stands: who works on what, how far each has
// come, and what the streams hold. What a service says of a partition is up to
// a second old.
type Status struct {
	Installation string `json:"installation"`
	Partitions   int    `json:"partitions"`
	// State is degraded when something has stopped or nobody has it, and
	// starting when something is on its way.
	State     string           `json:"state" enum:"live,starting,degraded"`
	Services  []ServiceStatus  `json:"services" nullable:"false"`
	Instances []InstanceStatus `json:"instances" nullable:"false"`
	Streams   []StreamStatus   `json:"streams" nullable:"false"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Service    string            `json:"service" enum:"rater,balances,enforcer,clickhouse"`
	Partitions []PartitionStatus `json:"partitions" nullable:"false" doc:"Of clickhouse one, which is the whole LEDGER."`
}

// PartitionStatus is one partition of a service.
type PartitionStatus struct {
	Partition int       `json:"partition"`
	Owner     string    `json:"owner,omitzero" doc:"The instance that has it; absent when nobody does."`
	Since     time.Time `json:"since,omitzero"`
	// The rest is what the owner reports.
	State    string `json:"state,omitzero" doc:"Such as starting, live, retrying, stopped."`
	Sequence uint64 `json:"sequence" doc:"Of the last message done: in USAGE of the rater, in BALANCES of the enforcer, in LEDGER of the others."`
	Lag      uint64 `json:"lag" doc:"Messages behind that."`
	Error    string `json:"error,omitzero" doc:"Why it is retrying or stopped."`
	Known    int64  `json:"known,omitzero" doc:"Usage events remembered, by a rater."`
	Accounts int64  `json:"accounts,omitzero" doc:"Folded, by balances."`
}

// InstanceStatus is one process, and how many partitions of each service it has.
type InstanceStatus struct {
	Instance   string         `json:"instance"`
	Since      time.Time      `json:"since" doc:"When it came."`
	Partitions map[string]int `json:"partitions"`
}

// StreamStatus is what one stream holds.
type StreamStatus struct {
	Stream   string    `json:"stream"`
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	First    uint64    `json:"first_sequence"`
	Last     uint64    `json:"last_sequence"`
	LastAt   time.Time `json:"last_at,omitzero"`
}

// The states of an installation.
const (
	stateLive     = "live"
	stateStarting = "starting"
	stateDegraded = "degraded"
)

type statusOutput struct{ Body Status }

func (g *Gateway) statusRoutes() {
	register(g, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status", Tags: []string{"Operations"},
		Summary:     "Who works on what, and how far each has come",
		Description: "The instances of each service and the partitions they hold, what the owners last reported, and what the streams hold.",
	}, g.status)
}

func (g *Gateway) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	if err := g.online(); err != nil {
		return nil, err
	}
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	standing, err := lease.Read(bounded, g.broker)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // forgotten by a server that restarted, and nobody is there to need it
		return nil, err
	}
	s := Status{
		Installation: g.Streams.Installation, Partitions: g.Streams.Partitions, State: stateLive,
		Instances: instancesOf(standing),
	}
	for _, service := range []string{lease.Rater, lease.Balances, lease.Enforcer, lease.ClickHouse} {
		partitions := g.Streams.Partitions
		if service == lease.ClickHouse {
			partitions = 1
		}
		s.add(service, partitions, standing.Leases[service])
	}
	s.Streams, err = g.streams(bounded)
	return &statusOutput{Body: s}, err
}

// add says how a service stands.
func (s *Status) add(service string, partitions int, leases map[int]lease.Lease) {
	found := ServiceStatus{Service: service}
	for number := range partitions {
		l := leases[number]
		p := PartitionStatus{
			Partition: number, Owner: l.Instance, Since: l.Since,
			State: l.Report.State, Sequence: l.Report.Sequence, Lag: l.Report.Lag, Error: l.Report.Error,
			Known: l.Report.Known, Accounts: l.Report.Accounts,
		}
		found.Partitions = append(found.Partitions, p)
		switch {
		case p.Owner == "" || p.Stopped():
			s.State = stateDegraded
		case p.OnItsWay() && s.State == stateLive:
			s.State = stateStarting
		}
	}
	s.Services = append(s.Services, found)
}

// OnItsWay reports whether the owner works on working.
func (p PartitionStatus) OnItsWay() bool {
	return p.State == lease.StateStarting || p.State == lease.StateRetrying
}

// Stopped reports whether the owner waits for somebody to do something.
func (p PartitionStatus) Stopped() bool {
	return p.State == lease.StateStopped || p.Error != "" && !p.OnItsWay()
}

// instancesOf lists the processes there are, by name.
func instancesOf(standing lease.Standing) []InstanceStatus {
	byName := map[string]*InstanceStatus{}
	for service, members := range standing.Members {
		for _, m := range members {
			found, ok := byName[m.Instance]
			if !ok {
				found = &InstanceStatus{Instance: m.Instance, Since: m.Since, Partitions: map[string]int{}}
				byName[m.Instance] = found
			}
			found.Partitions[service] += 0 // it has none of the service, as yet
			if m.Since.Before(found.Since) {
				found.Since = m.Since
			}
		}
	}
	for service, leases := range standing.Leases {
		for _, l := range leases {
			if found, ok := byName[l.Instance]; ok {
				found.Partitions[service]++
			}
		}
	}
	all := make([]InstanceStatus, 0, len(byName))
	for _, found := range byName {
		all = append(all, *found)
	}
	slices.SortFunc(all, func(a, b InstanceStatus) int { return cmp.Compare(a.Instance, b.Instance) })
	return all
}

func (g *Gateway) streams(ctx context.Context) ([]StreamStatus, error) {
	var all []StreamStatus
	for _, name := range []string{
		events.StreamUsage, events.StreamLedger, events.StreamSignals, events.StreamDeadLetter,
		stream.BucketLog(events.BucketBalances), stream.BucketLog(events.BucketCatalog),
	} {
		state, err := g.broker.Log(name).State(ctx)
		if err != nil {
			return nil, err
		}
		s := StreamStatus{Stream: name, Messages: state.Messages, Bytes: state.Bytes, First: state.First, Last: state.Last}
		if state.Last > 0 {
			s.LastAt = state.LastAt
		}
		all = append(all, s)
	}
	return all, nil
}
