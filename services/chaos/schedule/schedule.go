// Package schedule decides, from a seed alone, which faults a run does: what,
// to whom, after how many events, and for how long.
package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	Kill      Kind = "kill"         // SIGKILL a service; it is started again
	Pause     Kind = "pause"        // SIGSTOP, and SIGCONT later
	Stall     Kind = "cut stall"    // nothing passes between a service and NATS
	Deaf      Kind = "cut deaf"     // a service's requests arrive, answers do not
	Reset     Kind = "cut reset"    // connections of a service to NATS are refused
	Clock     Kind = "clock jump"   // a service's clock jumps, and later jumps back
	Down      Kind = "scale down"   // an instance ends properly and comes back
	Up        Kind = "scale up"     // one more instance, for a while
	Doomed    Kind = "cut and kill" // cut off from NATS, and then killed with all it had to say
	Forget    Kind = "state lost"   // kill a service and empty its folder
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
	// Calm asks that NATS is left alone meanwhile: its restart would end the
	// connections on which something is on its way.
	Calm bool `json:"calm,omitzero"`
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
	// Of are the kinds to choose from; nil means all. Make returns no faults when
	// none of them can hit the topology.
	Of map[Kind]bool
}

// rule says how faults of one kind are made.
type rule struct {
	kind     Kind
	services []string // whom it hits; none for other targets
	min, max time.Duration
	whole    bool // whatever the pace: it is long enough for another to take over
}

var rules = []rule{
	{kind: Kill, services: Names, min: 200 * time.Millisecond, max: 3 * time.Second},
	{kind: NodeKill, min: 200 * time.Millisecond, max: 2 * time.Second},
	{kind: Pause, services: Names, min: time.Second, max: 9 * time.Second},
	{kind: Stall, services: Names, min: time.Second, max: 9 * time.Second},
	{kind: DiskFull, min: time.Second, max: 3 * time.Second},
	{kind: Clock, services: Names, min: 2 * time.Second, max: 6 * time.Second},
	{kind: EngineKill},
	{kind: Down, services: Names, min: 2 * time.Second, max: 6 * time.Second},
	{kind: Up, services: []string{"rater", "projector", "enforcer"}, min: 2 * time.Second, max: 6 * time.Second},
	{kind: Reset, services: Names, min: 500 * time.Millisecond, max: 4 * time.Second},
	{kind: Rolling},
	{kind: Forget, services: []string{"rater", "projector"}, min: 200 * time.Millisecond, max: time.Second},
	{kind: Stall, services: []string{"rater"}, min: 6 * time.Second, max: 11 * time.Second, whole: true},
	{kind: Doomed, services: []string{"gateway"}, min: 500 * time.Millisecond, max: 3 * time.Second},
	{kind: Doomed, services: []string{"rater"}, min: 500 * time.Millisecond, max: 3 * time.Second},
	{kind: Pause, services: []string{"rater", "projector"}, min: 6 * time.Second, max: 11 * time.Second, whole: true},
	{kind: NodePause, min: 500 * time.Millisecond, max: 3 * time.Second},
	{kind: LeaderKill, min: 200 * time.Millisecond, max: 3 * time.Second},
	{kind: NodeCut, min: time.Second, max: 5 * time.Second},
	{kind: Deaf, services: Names, min: time.Second, max: 6 * time.Second},
	{kind: EngineStalled, min: time.Second, max: 5 * time.Second},
	{kind: Producers, min: 500 * time.Millisecond, max: 3 * time.Second},
	{kind: NodeRestart, min: 0, max: time.Second},
	{kind: NodeAlone, min: time.Second, max: 5 * time.Second},
	{kind: EngineGone, min: 200 * time.Millisecond, max: 2 * time.Second},
	{kind: EnginePause, min: time.Second, max: 4 * time.Second},
}

// clustered are kinds that need several nodes.
var clustered = map[Kind]bool{LeaderKill: true, NodeCut: true, NodeAlone: true}

// possible reports whether faults of that kind are asked for and can be done.
func (c Config) possible(kind Kind) bool {
	return (c.Of == nil || c.Of[kind]) && (!clustered[kind] || c.Topology.Nodes > 1)
}

// Kinds are all kinds, in alphabetical order.
func Kinds() []Kind {
	var kinds []Kind
	for _, r := range rules {
		kinds = append(kinds, r.kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Make makes the schedule: every kind in turn, in a shuffled order, over and
// over, so that few faults already are of many kinds.
func Make(c Config) []Fault {
	random := rand.New(rand.NewPCG(c.Seed, 0xfa017))
	if c.Pace == 0 {
		c.Pace = 1
	}
	var faults []Fault
	if !slices.ContainsFunc(rules, func(r rule) bool { return c.possible(r.kind) }) {
		return nil
	}
	for len(faults) < c.Faults {
		for _, i := range random.Perm(len(rules)) {
			r := rules[i]
			if len(faults) == c.Faults || !c.possible(r.kind) {
				continue
			}
			n := len(faults)
			span := c.Events * 9 / 10 / c.Faults
			f := Fault{Number: n + 1, At: c.Events/20 + n*span + random.IntN(max(span, 1)), Kind: r.kind}
			f.For = r.min
			if r.max > r.min {
				f.For += time.Duration(random.Int64N(int64(r.max - r.min)))
			}
			if f.Calm = r.whole; !r.whole {
				f.For = time.Duration(float64(f.For) * c.Pace)
			}
			f.For = f.For.Round(10 * time.Millisecond)
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
