package lease

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// keeper is a share while it runs. All of it belongs to one goroutine, which
// runs; the others only tell it what happened.
type keeper struct {
	Config
	log  stream.Log
	work Work
	self Member

	member uint64 // sequence of our own key, as last acknowledged
	slots  []slot
	// frozen is until when no partition changes hands, because the bucket has
	// lost its keys and not everybody has written theirs again.
	frozen time.Time
	shown  string // what was logged of instances and partitions last

	view, fresh view
	watch       int // number of the watch; 0: there was none yet
	unwatch     func()
	behind      int
	reopen      bool

	running sync.WaitGroup // the work and the watches
	ended   chan int
	changes chan change
}

// retryDelay is the wait after a renewal that nobody acknowledged.
const retryDelay = 100 * time.Millisecond

func (k *keeper) run(ctx context.Context) error {
	lost, stop := k.Broker.Interrupted()
	defer stop()
	k.unwatch = func() {}
	defer k.running.Wait()
	defer func() { k.unwatch() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var err error
	for err == nil {
		select {
		case <-timer.C:
			k.tell()
			var wait time.Duration
			wait, err = k.renew(ctx)
			timer.Reset(wait)
		case <-lost:
			k.reopen = true
			timer.Reset(0)
		case c := <-k.changes:
			k.observe(c)
		case p := <-k.ended:
			k.returned(ctx, p)
		case <-ctx.Done():
			k.leave(context.WithoutCancel(ctx))
			return nil
		}
		if err == nil && ctx.Err() == nil {
			k.rearrange(ctx)
		}
	}
	k.leave(context.WithoutCancel(ctx))
	return err
}

// rearrange takes and gives up partitions as the instances alive ask for.
func (k *keeper) rearrange(ctx context.Context) {
	if k.view.watch == 0 {
		return
	}
	frozen := time.Now().Before(k.frozen)
	var take []int
	for p, owner := range assign(k.Service, k.Partitions, k.view.instances(k.Instance)) {
		s, seen := &k.slots[p], k.view.leases[p]
		free := seen.value.Instance == "" && (!frozen || seen.sequence > 0) // given up, and not just forgotten
		ours := seen.value.Instance == k.Instance                           // by a process before, or by an append of ours whose answer was lost
		switch {
		case s.phase == idle && owner == k.Instance && (ours || free):
			take = append(take, p)
		case s.phase == idle && owner != k.Instance && ours && !frozen:
			k.release(ctx, p, seen.sequence)
		case s.phase == working && s.ctx.Err() != nil: // it ran out by our clock
			s.phase = lost
		case s.phase == working && owner != k.Instance && !frozen:
			s.tellToEnd(leaving)
			s.until = time.Now().Add(k.patience())
		}
	}
	k.take(ctx, take)
}

// take takes the partitions that nobody else has meanwhile.
func (k *keeper) take(ctx context.Context, partitions []int) {
	// Who is told to stop meanwhile must know what it was given, to give it up.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.every())
	defer cancel()
	for range 2 { // a key that ran out leaves nothing after a while, and nobody is told of that
		if len(partitions) == 0 {
			return
		}
		partitions = k.ask(bounded, partitions)
	}
}

// ask asks for leases and returns those that are still to be had. A lease that
// was given without an answer will be seen.
func (k *keeper) ask(ctx context.Context, partitions []int) (left []int) {
	sent := time.Now()
	appends := make([]stream.Append, len(partitions))
	for i, p := range partitions {
		value := Lease{Member: k.self, Report: Report{State: StateStarting}}
		value.Since = sent.UTC()
		appends[i] = put(Key(k.Service, p), k.view.leases[p].sequence, value, k.TTL)
	}
	for i, result := range k.log.AppendAll(ctx, appends) {
		p := partitions[i]
		if result.Err == nil {
			k.view.set(entry{partition: p, sequence: result.Sequence, value: Lease{Member: k.self}})
			k.begin(ctx, p, result.Sequence, sent)
			continue
		}
		e, _, err := k.last(ctx, Key(k.Service, p))
		if err != nil {
			continue // the next renewal comes back to it
		}
		e.partition = p
		k.view.leases[p] = e
		if e.value.Instance == "" || e.value.Instance == k.Instance {
			left = append(left, p)
		}
	}
	return left
}

// tell logs who is there and what is held here, when that has changed.
func (k *keeper) tell() {
	var held []int
	for p := range k.slots {
		if k.slots[p].phase == working {
			held = append(held, p)
		}
	}
	instances := k.view.instances(k.Instance)
	if now := fmt.Sprint(instances, held); now != k.shown {
		k.shown = now
		k.Logger.Info("partitions shared", "of", k.Service, "instances", instances, "held", held)
	}
}

// leave gives everything up. It returns when all work has.
func (k *keeper) leave(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, k.TTL)
	defer cancel()
	if k.member > 0 { // the others see first who leaves, and then wait for what it holds
		if _, err := k.log.Append(bounded, remove(memberKey(k.Service, k.Instance), k.member)); err != nil {
			k.Logger.Debug("instance left to run out", "err", err)
		}
	}
	for p := range k.slots {
		if s := &k.slots[p]; s.phase == working {
			s.tellToEnd(leaving)
			s.until = time.Now().Add(k.patience())
		}
	}
	ticker := time.NewTicker(k.every())
	defer ticker.Stop()
	for slices.ContainsFunc(k.slots, func(s slot) bool { return s.phase != idle }) { // all work returns, late or not
		select {
		case p := <-k.ended:
			k.returned(bounded, p)
		case <-ticker.C:
			k.renewLeases(ctx)
		case <-k.changes: // nobody looks any more
		}
	}
}
