// Package schedule decides, from a seed alone, which faults a run does: what,
// to whom, after how many events, and for how long.
package schedule

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	Kill      Kind = "kill"       // SIGKILL a service; it is started again
	Pause     Kind = "pause"      // SIGSTOP, and SIGCONT later
	Stall     Kind = "cut stall"  // nothing passes between a service and NATS
	Deaf      Kind = "cut deaf"   // a service's requests arrive, answers do not
	Reset     Kind = "cut reset"  // connections of a service to NATS are refused
	Clock     Kind = "clock jump" // a service's clock jumps, and later jumps back
	Down      Kind = "scale down" // an instance ends properly and comes back
	Up        Kind = "scale up"   // one more instance, for a while
	Forget    Kind = "state lost" // kill a service and empty its folder
	Rolling   Kind = "rolling restart"
	Producers Kind = "cut producers" // from NATS

	NodeKill    Kind = "nats kill"
	NodePause   Kind = "nats pause"
	NodeRestart Kind = "nats restart"
	LeaderKill  Kind = "nats leader kill"
	NodeCut     Kind = "nats cut" // between two nodes
	NodeAlone   Kind = "nats node alone"
	DiskFull    Kind = "disk full" // of a node

	EngineKill    Kind = "clickhouse kill" // the engine; its supervisor starts it again
	EngineGone    Kind = "clickhouse gone" // engine and supervisor
	EnginePause   Kind = "clickhouse pause"
	EngineStalled Kind = "clickhouse cut"
)

// Fault is one fault.
type Fault struct {
	Number int           `json:"number"` // from 1
	At     int           `json:"at"`     // events sent when it begins
	Kind   Kind          `json:"kind"`
	Target string        `json:"target"` // instance, node, or two nodes
	For    time.Duration `json:"for"`
	Jump   time.Duration `json:"jump,omitzero"` // of a clock
}

// String describes the fault.
func (f Fault) String() string {
	text := fmt.Sprintf("%d at event %d: %s %s for %s", f.Number, f.At, f.Kind, f.Target, f.For)
	if f.Jump != 0 {
		text += fmt.Sprintf(" by %s", f.Jump)
	}
	return text
}

// Topology is who can be hit.
type Topology struct {
	Nodes    int
	Services map[string]int // instances of each; every name in Names
}

// Names are the services, in an order that does not change.
var Names = []string{"rater", "projector", "enforcer", "gateway"}

// Config asks for a schedule.
type Config struct {
	Seed     uint64
	Faults   int
	Events   int
	Pace     float64 // factor of all durations; default 1
	Topology Topology
	// Without are kinds that are left out.
	Without map[Kind]bool
}

// rule says how faults of one kind are made.
type rule struct {
	kind     Kind
	services []string // whom it hits; none for other targets
	min, max time.Duration
}

var rules = []rule{
	{Kill, Names, 200 * time.Millisecond, 3 * time.Second},
	{NodeKill, nil, 200 * time.Millisecond, 2 * time.Second},
	{Pause, Names, time.Second, 9 * time.Second},
	{Stall, Names, time.Second, 9 * time.Second},
	{DiskFull, nil, time.Second, 3 * time.Second},
	{Clock, Names, 2 * time.Second, 6 * time.Second},
	{EngineKill, nil, 0, 0},
	{Down, Names, 2 * time.Second, 6 * time.Second},
	{Up, []string{"rater", "projector", "enforcer"}, 2 * time.Second, 6 * time.Second},
	{Reset, Names, 500 * time.Millisecond, 4 * time.Second},
	{Rolling, nil, 0, 0},
	{Forget, []string{"rater", "projector"}, 200 * time.Millisecond, time.Second},
	{NodePause, nil, 500 * time.Millisecond, 3 * time.Second},
	{LeaderKill, nil, 200 * time.Millisecond, 3 * time.Second},
	{NodeCut, nil, time.Second, 5 * time.Second},
	{Deaf, Names, time.Second, 6 * time.Second},
	{EngineStalled, nil, time.Second, 5 * time.Second},
	{Producers, nil, 500 * time.Millisecond, 3 * time.Second},
	{NodeRestart, nil, 0, time.Second},
	{NodeAlone, nil, time.Second, 5 * time.Second},
	{EngineGone, nil, 200 * time.Millisecond, 2 * time.Second},
	{EnginePause, nil, time.Second, 4 * time.Second},
}

// clustered are kinds that need several nodes.
var clustered = map[Kind]bool{LeaderKill: true, NodeCut: true, NodeAlone: true}

// Make makes the schedule: every kind in turn, in a shuffled order, over and
// over, so that few faults already are of many kinds.
func Make(c Config) []Fault {
	random := rand.New(rand.NewPCG(c.Seed, 0xfa017))
	if c.Pace == 0 {
		c.Pace = 1
	}
	var faults []Fault
	for len(faults) < c.Faults {
		for _, i := range random.Perm(len(rules)) {
			r := rules[i]
			if len(faults) == c.Faults || c.Without[r.kind] || clustered[r.kind] && c.Topology.Nodes < 2 {
				continue
			}
			n := len(faults)
			span := c.Events * 9 / 10 / c.Faults
			f := Fault{Number: n + 1, At: c.Events/20 + n*span + random.IntN(max(span, 1)), Kind: r.kind}
			f.For = r.min
			if r.max > r.min {
				f.For += time.Duration(random.Int64N(int64(r.max - r.min)))
			}
			f.For = time.Duration(float64(f.For) * c.Pace).Round(10 * time.Millisecond)
			aim(random, &f, r, c.Topology)
			faults = append(faults, f)
		}
	}
	return faults
}

// jumps are what clocks jump by.
var jumps = []time.Duration{-26 * time.Hour, -time.Hour, -40 * time.Second, 40 * time.Second, 20 * time.Minute, 26 * time.Hour}

// aim chooses the target of a fault.
func aim(random *rand.Rand, f *Fault, r rule, t Topology) {
	if f.Kind == Clock {
		f.Jump = jumps[random.IntN(len(jumps))]
	}
	switch {
	case f.Kind == Up:
		f.Target = r.services[random.IntN(len(r.services))]
	case len(r.services) > 0:
		name := r.services[random.IntN(len(r.services))]
		f.Target = fmt.Sprintf("%s-%d", name, 1+random.IntN(t.Services[name]))
	case f.Kind == NodeCut:
		from := random.IntN(t.Nodes)
		f.Target = fmt.Sprintf("nats-%d nats-%d", 1+from, 1+(from+1)%t.Nodes)
	case f.Kind == NodeKill, f.Kind == NodePause, f.Kind == NodeRestart, f.Kind == NodeAlone, f.Kind == DiskFull:
		f.Target = fmt.Sprintf("nats-%d", 1+random.IntN(t.Nodes))
	case f.Kind == LeaderKill:
		f.Target = []string{"USAGE", "LEDGER", "KV_BALANCES", "SIGNALS"}[random.IntN(4)]
	case f.Kind == Producers:
		f.Target = []string{"stall", "reset", "deaf"}[random.IntN(3)]
	case f.Kind == Rolling:
		f.Target = "all"
	default:
		f.Target = "clickhouse"
	}
}
