package rater_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

func TestAnEventIsTooLateOnePastTheHorizon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, t.TempDir())
		b.start()
		// Nothing else is stored, so that a message is stored at the bubble's time.
		b.advance(time.Second)
		b.publish(b.event("at the bound", horizon))
		b.advance(time.Second)
		b.publish(b.event("one past it", horizon+1))
		b.advance(time.Second)
		backfilled := b.event("backfilled", 1000*horizon)
		backfilled.Backfill = time.Now().Add(-horizon)
		b.publish(backfilled)
		b.advance(time.Second)
		stale := b.event("backfilled too late", 1000*horizon)
		stale.Backfill = time.Now().Add(-horizon - 1)
		b.publish(stale)
		got := b.settle()
		for id, want := range map[string]bool{"at the bound": true, "one past it": false, "backfilled": true, "backfilled too late": false} {
			if _, charged := got.debits[id]; charged != want {
				t.Errorf("%s: charged %v, want %v", id, charged, want)
			}
		}
		if diff := cmp.Diff([]string{events.CodeTooLate, events.CodeTooLate}, b.deadLetters()); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
		// A known event is a duplicate, however late it comes.
		b.pass(2 * time.Second)
		b.advance(time.Second)
		b.publish(b.event("at the bound", horizon+time.Minute))
		if got := b.settle().totals(); got.Duplicates != 1 || got.Rejected != 2 {
			t.Errorf("settled %+v, want one duplicate", got)
		}
		b.stop()
	})
}

func TestWhatCannotComeAgainIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, t.TempDir())
		b.start()
		for i := range 60 {
			b.publish(b.event(fmt.Sprint(i), 0))
			b.pass(time.Minute)
		}
		b.settle()
		// 8 minutes of horizon, and a generation at either end.
		if known := b.held.Last().Known; known < 8 || known > 12 {
			t.Errorf("%d events are remembered of one a minute, want about 10", known)
		}
		b.stop()
		b.start()
		if known := b.held.Last().Known; known < 8 || known > 12 {
			t.Errorf("%d events are remembered after a restart, want about 10", known)
		}
		b.stop()
	})
}

// TestAnEventSentAgainAtTheEndOfTheHorizonCountsOnce sends an event every twenty
// seconds, and each again just in time: to a rater that is live, and to one that
// comes back long after, is stopped in the middle and has lost its state.
func TestAnEventSentAgainAtTheEndOfTheHorizonCountsOnce(t *testing.T) {
	t.Parallel()
	const every, total = 20 * time.Second, 60
	const again = int(horizon/every) - 1 // events later, and 19 seconds
	for name, tc := range map[string]struct{ behind, stopped, lost bool }{
		"live":                                  {},
		"behind":                                {behind: true},
		"behind and stopped":                    {behind: true, stopped: true},
		"behind, stopped and without its state": {behind: true, stopped: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				b.start()
				var sent []events.Usage
				for i := range total {
					if tc.behind && i == total/2 {
						b.stop()
					}
					b.pass(time.Second)
					sent = append(sent, b.event(fmt.Sprint(i), 0))
					b.publish(sent[i])
					// All times are whole seconds, but for what the server adds.
					if b.pass(every - time.Second); i >= again {
						b.publish(sent[i-again])
					}
				}
				if tc.behind {
					b.pass(24 * time.Hour)
					b.launch()
				}
				if tc.stopped {
					b.steps(30)
					b.stop()
				}
				if tc.lost {
					b.must(os.RemoveAll(b.config.StateDir))
				}
				if b.stop == nil {
					b.start()
				}
				if got := b.settle(); len(got.debits) != total {
					t.Errorf("%d events are charged, want %d", len(got.debits), total)
				}
				b.stop()
			})
		})
	}
}

// TestNothingIsChargedTwiceAndNothingInTimeIsRefused sends events of any age,
// and some again, lets time pass with and without a rater, and takes the
// rater's state away or back. Whoever reads USAGE with a memory that never
// forgets must find the same charges.
func TestNothingIsChargedTwiceAndNothingInTimeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		rapid.Check(noDeadline{t}, func(t *rapid.T) {
			runs++
			h := &history{bubble: newBubble(t, fmt.Sprintf("%s/%d", dir, runs)), t: t}
			h.must(os.MkdirAll(h.config.StateDir, 0o700))
			h.must(os.MkdirAll(h.older(), 0o700))
			h.start()
			for range rapid.IntRange(3, 8).Draw(t, "actions") {
				switch rapid.IntRange(0, 5).Draw(t, "action") {
				case 0, 1:
					h.traffic(h.pass)
				case 2:
					h.fallBehind()
				case 3:
					h.settle()
				case 4:
					h.loseState()
				case 5:
					h.crash()
				}
			}
			h.agree(h.settle())
			h.stop()
			h.must(os.RemoveAll(filepath.Dir(h.config.StateDir)))
		})
	})
}

// history is what happens to a bubble.
type history struct {
	*bubble
	t    *rapid.T
	sent []events.Usage
}

// older is where the state of an earlier stop is kept.
func (h *history) older() string { return h.config.StateDir + ".older" }

// traffic sends some events, of any age and most often of none, and those sent
// before again, most often the oldest that is still in time.
func (h *history) traffic(wait func(time.Duration)) {
	for range rapid.IntRange(1, 12).Draw(h.t, "events") {
		wait(time.Duration(rapid.Int64Range(0, int64(horizon)/8).Draw(h.t, "wait")))
		var inTime []events.Usage
		for _, u := range h.sent {
			if time.Since(u.Time) < horizon {
				inTime = append(inTime, u)
			}
		}
		switch n := rapid.IntRange(0, 9).Draw(h.t, "what"); {
		case n < 3:
			h.send(h.event(fmt.Sprint(len(h.sent)), 0))
		case n < 5:
			ago := rapid.Int64Range(-int64(maxAhead)-1, int64(horizon)+int64(time.Second)).Draw(h.t, "ago")
			h.send(h.event(fmt.Sprint(len(h.sent)), time.Duration(ago)))
		case n == 5:
			u := h.event(fmt.Sprint(len(h.sent)), 2*horizon)
			u.Backfill = time.Now().Add(-time.Duration(rapid.Int64Range(0, int64(horizon)+1).Draw(h.t, "checked")))
			h.send(u)
		case n < 8 && len(inTime) > 0:
			h.publish(inTime[0])
		case len(h.sent) > 0:
			h.publish(rapid.SampledFrom(h.sent).Draw(h.t, "again"))
		}
	}
}

func (h *history) send(u events.Usage) {
	h.publish(u)
	h.sent = append(h.sent, u)
}

// fallBehind leaves a backlog to a rater, which is stopped in it once more.
func (h *history) fallBehind() {
	h.stop()
	h.traffic(h.pass)
	h.pass(time.Duration(rapid.Int64Range(0, int64(2*horizon)).Draw(h.t, "stand still")))
	h.launch()
	h.steps(rapid.IntRange(0, 60).Draw(h.t, "steps before it stops again"))
	h.loseState()
}

func (h *history) loseState() {
	h.stop()
	if rapid.Bool().Draw(h.t, "lose the state") {
		h.must(os.RemoveAll(h.config.StateDir))
	}
	h.start()
}

// crash goes on with the state of an earlier stop.
func (h *history) crash() {
	h.stop()
	from, to := h.older(), h.config.StateDir
	if rapid.Bool().Draw(h.t, "keep this state for later") {
		from, to = to, from
	}
	h.must(os.RemoveAll(to))
	h.must(os.CopyFS(to, os.DirFS(from)))
	h.start()
}

// noDeadline hides the test's deadline, which means nothing in a bubble.
type noDeadline struct{ testing.TB }

// agree compares the charges with those of a reader that forgets nothing.
func (b *bubble) agree(got settled) {
	b.Helper()
	charged := map[string]bool{}
	for _, m := range b.server.Messages(events.StreamUsage) {
		u := events.DecodeEvent(m.Data).Usage
		early := u.Time.After(m.Time.Add(maxAhead))
		late := m.Time.Sub(u.Time) > horizon && (u.Backfill.IsZero() || m.Time.Sub(u.Backfill) > horizon)
		if !early && !late {
			charged[u.ID] = true
		}
	}
	for id := range charged {
		if _, ok := got.debits[id]; !ok {
			b.Errorf("event %s came in time and is not charged", id)
		}
	}
	for id := range got.debits {
		if !charged[id] {
			b.Errorf("event %s did not come in time and is charged", id)
		}
	}
}
