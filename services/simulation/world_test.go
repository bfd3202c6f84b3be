package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/projector/clickhouse"
)

const (
	partitions = 2
	// stepsMax bounds the steps of a seed before its faults end.
	stepsMax = 4000
	// healMax bounds how long everything may take to be done once they have.
	healMax = time.Minute
)

// world is one seed: the services, what lies around them, and what happens.
type world struct {
	rng     *rand.Rand
	profile profile
	server  *simulated.Server
	network *simulated.Network

	instances []*instance
	lives     []<-chan struct{} // of all instances, closed when they end
	load      *load
	database  *database
	logs      logs

	chunks  map[uint64]events.Chunk // of LEDGER, decoded
	written map[uint64]*books.Chunk // the same for the books
	decided map[place]string        // on each command, by the ledger folded in one go
	calm    time.Time               // since when there are no faults; zero while there are
	passed  string                  // the fingerprint of what passed the audit

	seed   uint64
	steps  int
	faults map[string]int
	seen   map[string]int // what the services did
	trace  []string
}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	server := simulated.NewServer()
	server.Install(partitions)
	w := &world{
		rng: rng, profile: newProfile(rng), server: server, network: simulated.NewNetwork(server),
		database: newDatabase(), chunks: map[uint64]events.Chunk{}, written: map[uint64]*books.Chunk{},
		logs: logs{count: map[string]int{}}, seed: seed, faults: map[string]int{}, seen: map[string]int{},
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
	w.begin()
	for w.load.left > 0 && w.steps < stepsMax {
		w.step()
	}
	for range w.rng.IntN(100) {
		w.step()
	}
	return w.end(w.heal())
}

// begin starts the services.
func (w *world) begin() {
	for _, in := range w.instances {
		w.start(in)
	}
	w.prepare()
}

// end stops the services and sums up.
func (w *world) end(wrong string) outcome {
	for _, in := range w.instances {
		in.client.Kill()
		in.cancel()
	}
	w.network.Close()
	for _, done := range w.lives {
		<-done
	}
	if wrong != "" {
		wrong += fmt.Sprintf("\nprofile %+v", w.profile)
	}
	w.count()
	return outcome{
		seed: w.seed, hash: w.hash(), steps: w.steps, faults: w.faults, seen: w.seen, wrong: wrong, trace: w.trace,
	}
}

// prepare waits until the rate card is in the catalog: it prices what is
// published from then on, however slow everything becomes.
func (w *world) prepare() {
	for w.server.Last("KV_"+events.BucketCatalog) == 0 {
		for _, in := range w.instances {
			w.assignAll(in)
		}
		w.settle()
		w.advance(10 * time.Millisecond)
	}
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
// or never comes right. Once all is well some more time passes, which ends periods
// and holds of accounts that nobody uses any more.
func (w *world) heal() string {
	w.say("the faults end")
	for _, in := range w.instances {
		in.paused = 0
		if in.down {
			w.start(in)
		}
		in.skew.Store(0)
		w.assignAll(in)
	}
	deadline := time.Now().Add(healMax)
	const confirmations = 3 // the audit must go on passing
	passed, idle := 0, time.Duration(w.rng.IntN(100))*time.Second
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		w.settle()
		wrong := w.audit()
		if passed++; wrong != "" {
			passed = 0
		}
		switch {
		case passed == 1 && idle > 0:
			w.say("nobody does anything for %s", idle)
			deadline = deadline.Add(idle)
			w.wait(idle)
			w.load.probe()
			idle = 0
			continue
		case passed >= confirmations:
			return ""
		case time.Now().After(deadline):
			return wrong
		}
		w.advance(wait)
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
	now := w.fingerprint()
	if w.passed == now {
		return "" // as it was when it passed
	}
	f := w.fold()
	for _, wrong := range []func() string{
		w.auditUsage,
		func() string { return w.auditBalances(f) },
		func() string { return w.auditAnswers(f) },
		func() string { return w.auditSignals(f) },
		w.auditClickHouse,
	} {
		if what := wrong(); what != "" {
			return what
		}
	}
	w.passed = now
	return ""
}

// fingerprint changes with everything that the audit looks at, but the time.
func (w *world) fingerprint() string {
	var b strings.Builder
	for _, name := range w.server.Names() {
		fmt.Fprint(&b, w.server.Last(name), " ")
	}
	for _, t := range w.database.tables {
		fmt.Fprint(&b, len(t.rows), len(t.rolled), " ")
	}
	return b.String()
}

// count notes what else than charges the services came to do.
func (w *world) count() {
	for _, m := range w.server.Messages(events.StreamSignals) {
		s, _ := events.DecodeSignal(m.Data) // the audit has read it
		w.seen["signal "+string(s.Kind)]++
	}
	for _, m := range w.server.Messages(events.StreamLedger) {
		for _, e := range w.chunk(m).Entries {
			w.seen["entry "+string(e.Kind)]++
		}
	}
	for _, d := range w.decided {
		w.seen[d]++
	}
	for _, r := range w.database.tables[clickhouse.TableLedger].rows {
		w.seen["posting "+r.Kind]++
	}
	for name, t := range w.database.tables {
		w.seen["rows of "+string(name)] += len(t.rows)
	}
	w.seen["snapshots"] += len(w.server.Messages("OBJ_"+events.BucketSnapshots)) / 2
	w.seen["answers"] += len(w.load.answers)
	for message, n := range w.logs.counts() {
		w.seen["log: "+message] += n
	}
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
