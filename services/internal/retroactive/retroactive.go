// Package retroactive puts a rate card into force for usage that was charged
// already: every event whose charge differs is amended, by a correction of its
// own, in the order of the ledger.
//
// Which charges differ is package rerate's to say, how one is amended package
// correction's, and what that does to an account the fold's. It keeps no state:
// what is amended already does not differ, so that it can be cut off anywhere and
// begun again. Events that void or amend each other's work are fenced off and
// looked at again. Usage that comes meanwhile is rated by the raters, with
// counters on their way to what they will be; it is looked at as well, until
// nothing differs any more.
package retroactive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/correction"
	"github.com/drawdown-credits/drawdown/services/internal/past"
	"github.com/drawdown-credits/drawdown/services/internal/rerate"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	// partitionsMax bounds the partitions that are worked on at a time.
	partitionsMax = 8
	// settleTime is how long raters take, at most, to rate by a card that was
	// applied, and to count a correction: what is charged later needs no look.
	settleTime = time.Second
	// triesMax bounds how often one event is tried whose outcome is not known.
	triesMax = 5
	// ExamplesMax bounds the events of a Repricing that cannot be amended.
	ExamplesMax = 10
)

// RefusedError is what a Decide answers when the fold refused the correction.
type RefusedError struct{ Code, Detail string }

func (e *RefusedError) Error() string { return e.Detail }

// Config says what is put into force. All but Logger and Terms are required.
type Config struct {
	Ledger past.Ledger
	Decide correction.Decide
	Logger *slog.Logger // default discards

	Card   string
	Reason string // of the corrections
	// Rerate says by what usage is rated anew. At is asked from several goroutines.
	Rerate rerate.Config
	// Refresh is called before an event is amended, by one goroutine at a time, so
	// that At knows every version by which the event may have been charged. Its
	// error ends all.
	Refresh func(context.Context) error
	// Since is when the first billing period concerned started; MaxAhead how far
	// an event's time may lie behind that of its debit.
	Since    time.Time
	MaxAhead time.Duration
}

// Repricing is what came of it.
type Repricing struct {
	From     time.Time `json:"from" doc:"Usage from here on was looked at, by its own time."`
	Sequence uint64    `json:"sequence" doc:"The last message of the ledger that was looked at."`
	Events   uint64    `json:"events" doc:"That were looked at, void ones left out."`
	Void     uint64    `json:"void" doc:"Void events, which stay void."`
	// Amended counts the events whose charge differed; Was and Now sum what these
	// were charged, and are.
	Amended uint64         `json:"amended"`
	Was     events.Credits `json:"was"`
	Now     events.Credits `json:"now"`
	// Kept counts events that keep their charge although another is right: the
	// card refuses them, or the ledger did. Examples are the first of them.
	Kept     uint64       `json:"kept"`
	Examples []KeptCharge `json:"examples,omitempty"`
}

// KeptCharge is that of an event that keeps its charge, and why.
type KeptCharge struct {
	Source  string         `json:"source"`
	ID      string         `json:"id"`
	Account string         `json:"account"`
	Charged events.Credits `json:"charged"`
	Reason  string         `json:"reason"`
}

// Run amends every event whose charge differs, and says which message of the
// ledger it has come to, of how many. It may be run again whatever became of it.
func Run(ctx context.Context, c Config, progress past.Progress) (Repricing, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for {
		j := &job{Config: c, report: Repricing{From: c.Rerate.From}, tell: progress}
		err := j.run(ctx)
		var earlier *earlierError
		if !errors.As(err, &earlier) {
			return j.report, err
		}
		c.Since = earlier.period
	}
}

// earlierError reports that an event was counted in a billing period that began
// before what was read.
type earlierError struct{ period time.Time }

func (e *earlierError) Error() string {
	return "a billing period began at " + e.period.UTC().Format(time.RFC3339)
}

// job is one reading of all partitions.
type job struct {
	Config
	began time.Time // when, by this clock
	end   uint64    // of the ledger

	refreshing sync.Mutex

	mu     sync.Mutex
	report Repricing
	tell   past.Progress
	done   []uint64 // by partition, the message of the ledger that it has come to
	first  uint64   // of the messages read
}

func (j *job) run(ctx context.Context) error {
	state, err := j.Ledger.Broker.Log(events.StreamLedger).State(ctx)
	if err != nil {
		return err
	}
	j.began, j.end, j.first, j.done = time.Now(), state.Last, state.Last, make([]uint64, j.Ledger.Partitions)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var working sync.WaitGroup
	free := make(chan struct{}, partitionsMax)
	for number := range j.Ledger.Partitions {
		working.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			if err := j.partition(ctx, number); err != nil {
				stop(fmt.Errorf("amend the usage of partition %d: %w", number, err))
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// passed notes that a partition has come to a message of the ledger.
func (j *job) passed(partition int, sequence uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done[partition] = sequence
	j.first, j.report.Sequence = min(j.first, sequence), max(j.report.Sequence, sequence)
	if j.tell == nil || j.end <= j.first {
		return
	}
	var sum uint64
	for _, done := range j.done {
		sum += min(max(done, j.first), j.end) - j.first
	}
	j.tell(sum/uint64(len(j.done)), j.end-j.first)
}

// refresh makes sure that every version is known that an event may be charged by.
func (j *job) refresh(ctx context.Context) error {
	j.refreshing.Lock()
	defer j.refreshing.Unlock()
	return j.Refresh(ctx)
}

// looked notes an event that was looked at, and void ones.
func (j *job) looked(void bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if void {
		j.report.Void++
	} else {
		j.report.Events++
	}
}

// amended notes that an event is charged anew.
func (j *job) amended(was, now events.Credits) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report.Amended++
	var err error
	if j.report.Was, err = j.report.Was.Add(was); err != nil {
		return err
	}
	j.report.Now, err = j.report.Now.Add(now)
	return err
}

// kept notes an event that keeps its charge, and why.
func (j *job) kept(account string, d *events.Debit, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.report.Kept++; len(j.report.Examples) < ExamplesMax {
		j.report.Examples = append(j.report.Examples, KeptCharge{Source: d.Source, ID: d.ID, Account: account, Charged: d.Amount, Reason: why.Error()})
	}
}

// from is where the ledger is read from: no event is stored long before it
// happened, and its debit comes later.
func (j *job) from() stream.From { return stream.From{Since: j.Since.Add(-j.MaxAhead)} }
