package rater_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// repair takes usage back as an operator does.
func (b *bubble) repair() (report rater.RewindReport) {
	b.Helper()
	operator := b.network.Connect("operator")
	done := make(chan error, 1)
	go func() {
		var err error
		report, err = rater.Rewind(context.Background(), operator, 0)
		done <- err
	}()
	b.drive()
	b.must(<-done)
	return report
}

// stopped waits until the partition is stopped.
func (b *bubble) stopped() lease.Report {
	b.Helper()
	for range 30 {
		if r := b.held.Last(); r.State == lease.StateStopped {
			return r
		}
		b.pass(time.Second)
	}
	b.Fatalf("the partition is not stopped: %+v", b.held.Last())
	return lease.Report{}
}

func (b *bubble) lettersOn() (subjects []string) {
	for _, m := range b.server.Messages(events.StreamDeadLetter) {
		subjects = append(subjects, m.Subject)
	}
	return subjects
}

func TestUsageThatLostItsEndStopsThePartitionUntilItIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end   uint64 // of USAGE after the power cut
		after int    // messages stored before anybody looks
		lost  int
		to    uint64
	}{
		"it ends earlier":                     {end: 3, lost: 3, to: 3},
		"it gave sequences out again":         {end: 3, after: 2, lost: 3, to: 3},
		"it gave out more than it lost":       {end: 3, after: 5, lost: 3, to: 3},
		"nothing is left":                     {end: 0, lost: 6, to: 0},
		"nothing is left but what came since": {end: 0, after: 7, lost: 6, to: 0},
		"only the last message is lost":       {end: 5, lost: 1, to: 5},
		"the last message is another":         {end: 5, after: 1, lost: 1, to: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				b.start()
				var sent []events.Usage
				send := func(settle bool) {
					sent = append(sent, b.event(fmt.Sprint(len(sent)), 0))
					if b.publish(sent[len(sent)-1]); settle {
						b.settle()
						b.pass(time.Second)
					}
				}
				for range 6 {
					send(true)
				}
				b.server.Rewind(events.StreamUsage, tc.end)
				b.pass(time.Second)
				for range tc.after {
					send(false)
				}
				if r := b.stopped(); !strings.Contains(r.Error, "USAGE") || !strings.Contains(r.Error, "lost its end") {
					t.Errorf("stopped by %q", r.Error)
				}
				from := b.settled().totals().Through
				report := b.repair()
				if !report.Rewound || report.Lost != tc.lost || report.To.Sequence != tc.to || report.From != from {
					t.Errorf("found %+v; want %d lost back to %d, from %+v", report, tc.lost, tc.to, from)
				}
				if again := b.repair(); again.Rewound {
					t.Errorf("repaired twice: %+v", again)
				}
				for _, u := range sent { // the emitters send all of it again
					b.publish(u)
				}
				if got := b.settle(); len(got.debits) != len(sent) {
					t.Errorf("%d events are charged, want %d", len(got.debits), len(sent))
				}
				if r := b.held.Last(); r.State != lease.StateLive || r.Known != int64(len(sent)) {
					t.Errorf("the rater stands at %+v", r)
				}
				b.stop()
			})
		})
	}
}

func TestADeadLetterOfAReusedSequenceIsKeptBesideTheOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, dir)
		bad := func(id string) {
			u := b.event(id, 0)
			u.Data.Operation = "DELETE /" // no rule
			b.publish(u)
		}
		b.start()
		b.publish(b.event("good", 0))
		bad("lost")
		b.settle()
		b.server.Rewind(events.StreamUsage, 1)
		b.pass(time.Second)
		bad("at its sequence")
		stored := b.server.Messages(events.StreamUsage)[1].Time
		b.stopped()
		b.repair()
		b.settle()
		want := []string{events.DeadLetterSubject(0, 2, 0), events.ReusedDeadLetterSubject(0, 2, 0, stored)}
		if diff := cmp.Diff(want, b.lettersOn()); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
		// A crash between dead letter and append, twice over: it is kept once.
		b.server.Rewind(events.StreamLedger, b.server.Last(events.StreamLedger)-1)
		b.pass(10 * time.Second)
		b.settle()
		if diff := cmp.Diff(want, b.lettersOn()); diff != "" {
			t.Errorf("dead letters after a crash (-want +got):\n%s", diff)
		}
		b.stop()
	})
}

func TestALedgerThatLostItsEndIsRatedAgain(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"while it is rated": false, "before a start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				b.start()
				for i := range 6 {
					b.publish(b.event(fmt.Sprint(i), 0))
					b.settle()
					b.pass(2 * time.Second)
				}
				if restart {
					b.stop()
				}
				b.server.Rewind(events.StreamLedger, 2)
				if restart {
					b.start()
				}
				for range 10 {
					b.pass(time.Second)
					if r := b.held.Last(); r.State == lease.StateStopped {
						t.Fatalf("the partition is stopped: %s", r.Error)
					}
				}
				b.publish(b.event("0", 0))
				b.publish(b.event("after", 0))
				if got := b.settle(); len(got.debits) != 7 || got.totals().Duplicates != 1 {
					t.Errorf("%d events are charged, %+v; want 7 and a duplicate", len(got.debits), got.totals())
				}
				b.pass(3 * time.Second)
				if told := b.log.with(rebuilt); len(told) != 1 || !strings.Contains(told[0], "the ledger lost its end") {
					t.Errorf("told %q, want one line", told)
				}
				b.stop()
			})
		})
	}
}

func TestAnIndexFromBeforeUsageWentBackIsRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, dir)
		first, second := b.config.StateDir, filepath.Join(dir, "second")
		run := func(state string, id string) {
			b.config.StateDir = state
			b.start()
			b.publish(b.event(id, 0))
			b.settle()
			b.pass(2 * time.Second)
			b.stop()
		}
		run(first, "a")
		run(second, "b")
		b.server.Rewind(events.StreamUsage, 1)
		b.repair()
		run(second, "c")
		if told := b.log.with("usage goes back"); len(told) != 1 {
			t.Errorf("told %q, want one line", told)
		}
		run(first, "b")
		if got := b.settled(); len(got.debits) != 3 || got.totals().Duplicates != 1 {
			t.Errorf("%d events are charged, %+v; want 3 and a duplicate", len(got.debits), got.totals())
		}
	})
}

// TestARaterThatStoodStillWritesNothing holds an append back until another
// rater has written.
func TestARaterThatStoodStillWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyCard(1, time.Time{}, "1")
	standing, goOn := make(chan struct{}), make(chan struct{})
	first := true
	paused := &faulty{Broker: w.connect(), before: func(stream.Append) error {
		if first {
			first = false
			close(standing)
			<-goOn
		}
		return nil
	}}
	held := of(0)
	w.start(rater.Config{Share: held, Broker: paused})
	account := accountOf(0, 0)
	w.publish(usage(account, "a"))
	<-standing
	_, stop := w.run(0)
	w.publishBatch(usage(account, "b"), usage(account, "a"))
	w.settle(0, 3)
	stop()
	close(goOn)
	last := w.publish(usage(account, "c"))
	if got := w.settle(0, 4); len(got.debits) != 3 || got.totals().Duplicates != 1 {
		t.Errorf("%d debits, %+v; want 3 and a duplicate", len(got.debits), got.totals())
	}
	w.await(held, 0, func(r lease.Report) bool { return r.State == lease.StateLive && r.Sequence == last })
}
