package dedup

import (
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

var searches = events.Counter{Card: "default", Rule: "search", Part: events.PartGraduated, Quantity: "requests"}

// total is a whole number as a total.
func total(n int64) events.Total { return events.WholeQuantity(n).Total() }

func (r *rig) wantTotal(k CounterKey, want int64) {
	r.Helper()
	if got, err := r.x.Total(k); err != nil || got != total(want) {
		r.Errorf("a counter stands at %v, %v; want %d", got, err, want)
	}
}

func TestCountersThatDifferInAnythingAreApart(t *testing.T) {
	t.Parallel()
	keys := map[CounterKey]bool{}
	other := searches
	other.Part = events.PartVolume
	for _, c := range []events.Counter{searches, other, {Card: "default", Rule: "searchgraduated", Quantity: "requests"}} {
		for _, account := range []string{"a", "b"} {
			for _, period := range []time.Time{noon, noon.Add(time.Microsecond)} {
				keys[CounterKeyOf(account, period, c)] = true
			}
		}
	}
	if len(keys) != 12 {
		t.Errorf("12 counters have %d keys", len(keys))
	}
}

func TestCountersAreKeptWithTheStateThatSpeaksForThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := CounterKeyOf("a", noon, searches), CounterKeyOf("b", noon, searches)
	r.wantTotal(a, 0)
	r.must(r.x.Commit(nil, Totals{a: total(3), b: total(4)}, at(1, noon)))
	r.must(r.x.Commit(nil, Totals{a: total(7)}, at(2, noon)))
	r.close()
	r.open(own)
	r.want(at(2, noon), "", "")
	r.wantTotal(a, 7)
	r.wantTotal(b, 4)
	since := noon.Add(-time.Hour)
	r.must(r.x.Clear(since))
	r.wantTotal(a, 0)
	if got := r.x.Since(); !got.Equal(since) {
		t.Errorf("counters go back to %s; want %s", got, since)
	}
}

func TestCountersAreForgottenOnceNoEventCanMoveThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old, young := CounterKeyOf("a", noon, searches), CounterKeyOf("a", noon.Add(48*time.Hour), searches)
	r.must(r.x.Commit(nil, Totals{old: total(1), young: total(2)}, at(1, noon)))
	r.must(r.x.Expire(noon.Add(own.Reach())))
	r.wantTotal(old, 1)
	r.must(r.x.Expire(noon.Add(own.Reach() + 25*time.Hour)))
	r.wantTotal(old, 0)
	r.wantTotal(young, 2)
}
