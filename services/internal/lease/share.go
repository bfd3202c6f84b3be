// Package lease shares the partitions of an installation among the instances of
// a service. A lease says who is to work, so that two rarely do the same; that
// two never write the same is the fences' part, not the leases'.
//
// Each instance keeps a key of its own and one for each partition it holds
// alive in bucket LEASES. Which partition is to be whose follows from the
// instances alive, by the same pure function for all; nobody decides it. An
// instance gives a partition up when its work on it has ended, and stops by its
// own clock, before the lease runs out, when it cannot keep the lease alive: it
// could not write without NATS anyway, and another may have the partition.
package lease

import (
	"context"
	"sync"
)

// Names of the services whose instances share partitions.
const (
	Rater      = "rater"
	Balances   = "balances"
	Enforcer   = "enforcer"
	ClickHouse = "clickhouse" // one partition, 0: LEDGER as a whole
)

// States of a partition in reports. Others may be reported too: what is neither
// live nor stopped is on its way.
const (
	StateStarting = "starting"
	StateLive     = "live"
	StateRetrying = "retrying"
	StateStopped  = "stopped" // until somebody does something about it
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
