package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// anyBalance draws balances that need not make sense: React must be total.
var anyBalance = rapid.Custom(func(t *rapid.T) events.Balance {
	place := rapid.Uint64Range(0, 12)
	b := events.Balance{Account: "acme", Sequence: place.Draw(t, "sequence"), Index: rapid.IntRange(0, 3).Draw(t, "index")}
	for range rapid.IntRange(0, 5).Draw(t, "levels") {
		l := events.Level{
			Kind:      rapid.SampledFrom([]events.SignalKind{events.SignalLow, events.SignalLow, events.SignalExhausted, events.SignalOverageStarted}).Draw(t, "kind"),
			Threshold: rapid.SampledFrom([]string{"50%", "20%", "20", "5", "0"}).Draw(t, "threshold"),
			At:        events.Credits(rapid.Int64Range(-2, 4).Draw(t, "at")),
			Reached:   rapid.Bool().Draw(t, "reached"),
		}
		if rapid.Bool().Draw(t, "moved") {
			l.Since = &events.Cause{Sequence: place.Draw(t, "since"), Index: rapid.IntRange(0, 3).Draw(t, "since index"), Kind: events.EntryDebit}
		}
		b.Levels = append(b.Levels, l)
	}
	if rapid.Bool().Draw(t, "top-up") {
		b.TopUp = requested(rapid.Uint64Range(0, 5).Draw(t, "request"), place.Draw(t, "requested since"))
	}
	return b
})

func TestReactSaysEverythingAtOnceTheSameEachTimeAndExhaustedInTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var published policy.Published
		exhausted := false
		for _, b := range rapid.SliceOfN(anyBalance, 1, 8).Draw(t, "balances") {
			signals := policy.React(published, b)
			if diff := cmp.Diff(signals, policy.React(published, b)); diff != "" {
				t.Fatalf("a second look at the same tells something else:\n%s", diff)
			}
			for _, s := range signals {
				published = published.After(s)
				if s.Kind != events.SignalExhausted && s.Kind != events.SignalRestored {
					continue
				}
				if exhausted == (s.Kind == events.SignalExhausted) {
					t.Fatalf("%s is told although exhausted is %t already", s.Kind, exhausted)
				}
				exhausted = !exhausted
			}
			if again := policy.React(published, b); len(again) > 0 {
				t.Fatalf("after %v it still tells %v", render(signals), render(again))
			}
		}
	})
}

// A restart finds the last signal of each kind in the stream, at any point of
// a series.
func TestARestartInTheMiddleOfASeriesGoesOnWhereItStopped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var published policy.Published
		var all []events.Signal
		for _, b := range histories.Draw(t, "history") {
			signals := policy.React(published, b)
			for i, s := range signals {
				if diff := cmp.Diff(render(signals[i:]), render(policy.React(restart(all), b))); diff != "" {
					t.Fatalf("after a restart behind %v (-running +restarted):\n%s", render(all), diff)
				}
				published = published.After(s)
				all = append(all, s)
			}
			if got := policy.React(restart(all), b); got != nil {
				t.Fatalf("after a restart behind %v it repeats %v", render(all), render(got))
			}
		}
	})
}

func restart(all []events.Signal) policy.Published {
	last := map[events.SignalKind]uint64{}
	for _, s := range all {
		last[s.Kind] = s.Sequence
	}
	var published policy.Published
	for _, s := range all {
		if last[s.Kind] == s.Sequence {
			published = published.After(s)
		}
	}
	return published
}

// histories draws the balances of an account that spends and is topped up,
// some of them never seen.
var histories = rapid.Custom(func(t *rapid.T) []events.Balance {
	levels := []events.Level{
		{Kind: events.SignalLow, Threshold: "50", At: 50}, {Kind: events.SignalLow, Threshold: "20", At: 20},
		{Kind: events.SignalLow, Threshold: "5", At: 5}, {Kind: events.SignalOverageStarted, Threshold: "0"},
		{Kind: events.SignalExhausted, Threshold: "-30", At: -30},
	}
	budgets := []events.BudgetBalance{{Scope: "project:web", Per: "day"}, {Scope: "key:k1", Per: "day"}, {Scope: "key:k1", Per: "month"}}
	available := events.Credits(100)
	var requests uint64
	var topUp *events.TopUpBalance
	var seen []events.Balance
	for i, change := range rapid.SliceOfN(rapid.Int64Range(-120, 120), 1, 20).Draw(t, "changes") {
		available = max(-60, available+events.Credits(change)) // below 0 it is overage
		cause := &events.Cause{Sequence: uint64(i/2 + 1), Index: i % 2, Kind: events.EntryDebit}
		now := make([]events.Level, len(levels))
		for j := range levels {
			reached := available <= levels[j].At
			if levels[j].Kind == events.SignalOverageStarted {
				reached = available < 0
			}
			if reached != levels[j].Reached {
				levels[j].Reached, levels[j].Since = reached, cause
			}
			now[j] = levels[j]
		}
		var listed []events.BudgetBalance
		for j := range budgets {
			if rapid.IntRange(0, 2).Draw(t, "crosses") == 0 {
				budgets[j].Exceeded, budgets[j].Since = !budgets[j].Exceeded, cause
			}
			if budgets[j].Exceeded || rapid.Bool().Draw(t, "listed") {
				listed = append(listed, budgets[j])
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "requests") == 0 {
			requests++
			topUp = requested(requests, cause.Sequence)
			topUp.Since = cause
		} else if rapid.Bool().Draw(t, "answered") {
			topUp = nil
		}
		if rapid.Bool().Draw(t, "seen") {
			seen = append(seen, events.Balance{
				Account: "acme", Available: available, Levels: now, Budgets: listed, TopUp: topUp, Sequence: cause.Sequence, Index: cause.Index,
			})
		}
	}
	return seen
})
