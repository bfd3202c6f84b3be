// Package lease shares the partitions of an installation among the instances of
// a service. A lease says who is to work, so that two rarely do the same; that
// two never write the same is the fences' part, not the leases'.
package lease

import (
	"context"
	"sync"
)

// Share gives an instance the partitions that are its own at the moment.
type Share interface {
	// Run calls work for each partition given to this instance, on a goroutine
	// of its own, until ctx ends; it returns when all work has. The context of
	// work ends when the partition is to be given up, and a partition is given
	// away only after its work returned. When work returns earlier, it is
	// called again after a pause for as long as the partition is held.
	Run(ctx context.Context, work Work) error
}

// Work works on one partition until its context ends.
type Work func(ctx context.Context, held *Held)

// Held is a partition while it is held.
type Held struct {
	Partition int

	mu     sync.Mutex
	report Report
}

// Report is what drawdown status shows of one partition.
type Report struct {
	State    string `json:"state"`             // such as starting, live, retrying, stopped
	Sequence uint64 `json:"sequence"`          // the last message of its input that is done
	Lag      uint64 `json:"lag"`               // messages of its input behind that
	Error    string `json:"error,omitzero"`    // why it is retrying or stopped
	Known    int64  `json:"known,omitzero"`    // usage events remembered, of a rater
	Accounts int64  `json:"accounts,omitzero"` // in the fold, of a projector
}

// Report notes how the partition stands. It is cheap, and the last one counts.
func (h *Held) Report(r Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report = r
}

// Last returns the newest report.
func (h *Held) Last() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report
}

// All gives every one of n partitions to this instance, and shares nothing.
func All(n int) Share { return all(n) }

type all int

func (n all) Run(ctx context.Context, work Work) error {
	var running sync.WaitGroup
	for p := range int(n) {
		running.Go(func() { keep(ctx, work, &Held{Partition: p}) })
	}
	running.Wait()
	return nil
}
