package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
)

const (
	partitions = 2
	// stepsMax bounds the steps of a seed before its faults end.
	stepsMax = 4000
	// healMax bounds how long everything may take to be done once they have.
	healMax = 5 * time.Minute
)

// world is one seed: the services, what lies around them, and what happens.
type world struct {
	rng     *rand.Rand
	profile profile
	server  *simulated.Server
	network *simulated.Network

	instances []*instance
	load      *load
	database  *database

	seed   uint64
	steps  int
	faults map[string]int
	trace  []string
}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	server := simulated.NewServer()
	server.Install(partitions)
	w := &world{
		rng: rng, profile: newProfile(rng), server: server, network: simulated.NewNetwork(server),
		database: newDatabase(), seed: seed, faults: map[string]int{},
	}
	w.network.Buffer = 1 + rng.IntN(64)
	w.load = newLoad(w)
	for _, service := range services {
		for i := range 1 + rng.IntN(service.most) {
			w.instances = append(w.instances, w.newInstance(service, i))
		}
	}
	return w
}

// run lets the seed happen and returns what came of it.
func (w *world) run() outcome {
	for _, in := range w.instances {
		w.start(in)
	}
	for w.load.left > 0 && w.steps < stepsMax {
		w.step()
	}
	for range w.rng.IntN(100) {
		w.step()
	}
	wrong := w.heal()
	for _, in := range w.instances {
		in.cancel()
	}
	w.network.Close()
	for _, in := range w.instances {
		<-in.done
	}
	if wrong != "" {
		wrong += fmt.Sprintf("\nprofile %+v", w.profile)
	}
	return outcome{seed: w.seed, hash: w.hash(), steps: w.steps, faults: w.faults, wrong: wrong, trace: w.trace}
}

// say notes what happened.
func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4d %s ", w.steps, time.Now().UTC().Format("04:05.000000"))+fmt.Sprintf(format, args...))
}

func (w *world) fault(name string) { w.faults[name]++ }

func (w *world) hash() uint64 {
	h := fnv.New64a()
	for _, line := range w.trace {
		_, _ = h.Write([]byte(line)) // never fails
	}
	return h.Sum64()
}

// chance is true once in so many times; never for 0.
func (w *world) chance(oneIn int) bool { return oneIn > 0 && w.rng.IntN(oneIn) == 0 }

func pick[T any](w *world, of []T) T { return of[w.rng.IntN(len(of))] }

// heal ends the faults, lets everything happen and returns what is wrong then,
// or never comes right.
func (w *world) heal() string {
	w.say("the faults end")
	for _, in := range w.instances {
		in.paused = 0
		if in.down {
			w.start(in)
		}
		w.assignAll(in)
	}
	deadline := time.Now().Add(healMax)
	const confirmations = 3 // the audit must go on passing
	passed := 0
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		w.settle()
		wrong := w.audit()
		if passed++; wrong != "" {
			passed = 0
		}
		switch {
		case passed >= confirmations:
			return ""
		case time.Now().After(deadline):
			return wrong
		}
		time.Sleep(wait)
	}
}

// settle lets everything happen that waits.
func (w *world) settle() {
	for {
		synctest.Wait()
		w.revive()
		if !w.network.Step() {
			return
		}
	}
}

// audit compares what there is with what was given, and says what differs.
func (w *world) audit() string {
	for _, in := range w.instances {
		if stopped := in.stopped(); stopped != "" {
			return fmt.Sprintf("%s is stopped: %s", in.name, stopped)
		}
	}
	for _, audit := range []func() string{w.auditUsage, w.auditClickHouse} {
		if wrong := audit(); wrong != "" {
			return wrong
		}
	}
	return ""
}

// accounts are the accounts of a seed, both partitions among them.
func accounts(n int) []string {
	names := []string{"acme", "bolt", "cargo", "delta", "echo", "fox", "golf", "hotel"}
	slices.SortStableFunc(names, func(a, b string) int {
		return events.Partition(a, partitions) - events.Partition(b, partitions)
	})
	var chosen []string
	for i := range n {
		if i%2 == 0 {
			chosen = append(chosen, names[i/2])
		} else {
			chosen = append(chosen, names[len(names)-1-i/2])
		}
	}
	return chosen
}
