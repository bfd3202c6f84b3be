package lease

import (
	"context"
	"time"
)

// phase is how a partition stands with this instance.
type phase int

const (
	idle    phase = iota // not ours; no work of ours runs
	working              // ours
	leaving              // ours until its work has ended, which was told to
	lost                 // not ours any more, or maybe not; its work was told to end
)

// slot is one partition.
type slot struct {
	phase    phase
	sequence uint64 // of our lease, as last acknowledged
	since    time.Time
	held     *Held
	ctx      context.Context // of the work
	cancel   context.CancelFunc
	// expiry ends the work by this machine's clock, whatever else waits.
	expiry *time.Timer
	until  time.Time // of leaving: how long the lease is kept for the work
}

// begin starts the work of a partition whose lease was asked for at sent.
func (k *keeper) begin(ctx context.Context, p int, sequence uint64, sent time.Time) {
	s := &k.slots[p]
	*s = slot{phase: working, sequence: sequence, since: sent.UTC(), held: &Held{Partition: p}}
	s.held.Report(Report{State: StateStarting})
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // leave ends it
	s.expiry = time.AfterFunc(k.validity()-time.Since(sent), s.cancel)
	work, held, workCtx := k.work, s.held, s.ctx
	k.running.Go(func() {
		keep(workCtx, work, held)
		k.ended <- p
	})
}

// renewed notes that the lease asked for at sent was given.
func (k *keeper) renewed(p int, sequence uint64, sent time.Time) {
	s := &k.slots[p]
	s.sequence = sequence
	s.expiry.Reset(k.validity() - time.Since(sent))
}

// tellToEnd ends the work of a partition.
func (s *slot) tellToEnd(to phase) {
	s.phase = to
	s.expiry.Stop()
	s.cancel()
}

// returned frees a partition whose work has ended.
func (k *keeper) returned(ctx context.Context, p int) {
	s := &k.slots[p]
	s.expiry.Stop()
	s.cancel()
	if s.phase == leaving {
		k.release(ctx, p, s.sequence)
	}
	*s = slot{}
}

// release lets another instance have a partition at once. When that is not
// heard, it may have it when the lease has run out.
func (k *keeper) release(ctx context.Context, p int, sequence uint64) {
	bounded, cancel := context.WithTimeout(ctx, k.every())
	defer cancel()
	gone, err := k.log.Append(bounded, remove(Key(k.Service, p), sequence))
	if err != nil {
		k.Logger.Debug("lease left to run out", "partition", p, "err", err)
		return
	}
	k.view.set(entry{partition: p, sequence: gone})
}
