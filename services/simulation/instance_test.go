package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
)

// service is a kind of service: how one of its instances is made from what is
// around it. most is how many there may be at once.
type service struct {
	name  string
	most  int
	parts int // how many partitions its instances share
	run   func(ctx context.Context, w *world, in *instance) error
}

// instance is one process of a service, over all its lives.
type instance struct {
	service
	name   string
	lives  int
	client *simulated.Client
	share  *share
	disk   *vfs.MemFS // survives a life, but for what was not synced
	cancel context.CancelFunc
	done   chan struct{}
	down   bool
	skew   *atomic.Int64 // of its clock, in nanoseconds
	ended  error         // of the last life, when it ended by itself
	paused int           // for so many steps
}

func (w *world) newInstance(s service, number int) *instance {
	in := &instance{service: s, name: fmt.Sprintf("%s.%d", s.name, number), disk: vfs.NewCrashableMem(), skew: new(atomic.Int64), down: true}
	return in
}

// start begins a life of an instance, as a supervisor does.
func (w *world) start(in *instance) {
	in.lives++
	in.down, in.ended = false, nil
	in.skew.Store(0)
	if w.chance(4) {
		in.skew.Store(int64(w.rng.IntN(120)-60) * int64(time.Second))
	}
	in.client = w.network.Connect(fmt.Sprintf("%s/%d", in.name, in.lives))
	in.share = newShare(in.parts, w.draw(in.parts))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	in.cancel, in.done = cancel, done
	w.lives = append(w.lives, done)
	w.say("%s starts with partitions %v", in.client.Name(), in.share.list())
	life := *in // what the goroutine uses of the instance is this life's
	go func() {
		defer close(done)
		if err := life.run(ctx, w, &life); ctx.Err() == nil {
			in.ended = fmt.Errorf("it ended by itself: %v", err)
		}
	}()
}

// now is the instance's own clock, which may be wrong.
func (in *instance) now() time.Time { return time.Now().Add(time.Duration(in.skew.Load())) }

// draw chooses some of n partitions, often all.
func (w *world) draw(n int) []int {
	var chosen []int
	for p := range n {
		if !w.chance(4) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// revive starts the instances again that ended by themselves.
func (w *world) revive() {
	for _, in := range w.instances {
		if in.ended == nil {
			continue
		}
		w.say("%s: %v", in.client.Name(), in.ended)
		in.client.Kill()
		w.start(in)
	}
}

// crash kills an instance, and starts one that is down.
func (w *world) crash(in *instance) {
	if in.down {
		w.start(in)
		return
	}
	w.fault("crash")
	w.say("%s is killed", in.client.Name())
	in.down = true
	in.client.Kill()
	in.disk = w.crashed(in.disk)
	in.cancel()
	if !w.chance(4) {
		w.start(in)
	}
}

// restart ends an instance as one that is asked to, and starts it again.
func (w *world) restart(in *instance) {
	if in.down {
		return
	}
	w.fault("restart")
	w.say("%s is asked to end", in.client.Name())
	in.cancel()
	for !in.hasEnded() {
		synctest.Wait()
		own := slices.DeleteFunc(w.network.Operations(), func(o *simulated.Operation) bool { return o.Client() != in.client })
		if len(own) > 0 {
			w.operate(pick(w, own))
		} else {
			w.advance(time.Millisecond)
		}
	}
	in.client.Kill()
	w.start(in)
}

func (in *instance) hasEnded() bool {
	select {
	case <-in.done:
		return true
	default:
		return false
	}
}

// crashed returns what the end of a process, or of its machine, leaves of a
// disk.
func (w *world) crashed(disk *vfs.MemFS) *vfs.MemFS {
	if w.chance(4) {
		return vfs.NewCrashableMem() // another machine
	}
	unsynced := []int{0, 50, 100}[w.rng.IntN(3)] // percent that was written all the same
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: w.rng})
}

// cut breaks the connection of an instance, which comes back.
func (w *world) cut(in *instance) {
	if in.down {
		return
	}
	w.fault("cut")
	w.say("%s is cut off", in.client.Name())
	w.disconnect(in)
}

func (w *world) disconnect(in *instance) {
	for _, o := range w.network.Operations() {
		if o.Client() == in.client && !w.chance(3) {
			o.Fail(simulated.ErrDisconnected)
		}
	}
	in.client.Interrupt()
}

// powerCut kills the broker, which comes back without the newest balances: they
// are a view, and nobody waits for them to be synced.
func (w *world) powerCut() {
	w.fault("power cut")
	const bucket = "KV_" + events.BucketBalances
	last := w.server.Last(bucket)
	end := last - min(last, uint64(w.rng.IntN(8)))
	w.say("power cut: BALANCES ends at %d instead of %d", end, last)
	w.server.Rewind(bucket, end)
	for _, in := range w.instances {
		if !in.down {
			w.disconnect(in)
		}
	}
}

// pause lets an instance stand still for some steps.
func (w *world) pause(in *instance) {
	w.fault("pause")
	in.paused = 10 + w.rng.IntN(200)
	w.say("%s stands still for %d steps", in.name, in.paused)
}

// handover gives an instance a partition, or takes one that it has.
func (w *world) handover(in *instance) {
	if in.down || in.parts == 0 {
		return
	}
	w.fault("handover")
	p := w.rng.IntN(in.parts)
	w.say("%s: partition %d moves", in.name, p)
	in.share.toggle(p)
}

// assignAll gives an instance every partition, so that all are somebody's.
func (w *world) assignAll(in *instance) {
	for p := range in.parts {
		in.share.give(p)
	}
}

// stopped says why one of its partitions is stopped, if one is.
func (in *instance) stopped() string { return in.share.stopped() }
