package dedup

import (
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

var searches = events.Counter{Card: "default", Rule: "search", Part: events.PartGraduated, Quantity: "requests"}

// count is a whole number as a count.
func count(n int64) Count { return Count{}.Add(events.WholeQuantity(n)) }

func (r *rig) wantCount(k CounterKey, want int64) {
	r.Helper()
	if got, err := r.x.Count(k); err != nil || got != count(want) {
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
	r.wantCount(a, 0)
	r.must(r.x.Commit(nil, Counts{a: count(3), b: count(4)}, at(1, noon)))
	r.must(r.x.Commit(nil, Counts{a: count(7)}, at(2, noon)))
	r.close()
	r.open(own)
	r.want(at(2, noon), "", "")
	r.wantCount(a, 7)
	r.wantCount(b, 4)
	since := noon.Add(-time.Hour)
	r.must(r.x.Clear(since))
	r.wantCount(a, 0)
	if got := r.x.Since(); !got.Equal(since) {
		t.Errorf("counters go back to %s; want %s", got, since)
	}
}

func TestCountersAreForgottenOnceNoEventCanMoveThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old, young := CounterKeyOf("a", noon, searches), CounterKeyOf("a", noon.Add(48*time.Hour), searches)
	r.must(r.x.Commit(nil, Counts{old: count(1), young: count(2)}, at(1, noon)))
	r.must(r.x.Expire(noon.Add(own.Reach())))
	r.wantCount(old, 1)
	r.must(r.x.Expire(noon.Add(own.Reach() + 25*time.Hour)))
	r.wantCount(old, 0)
	r.wantCount(young, 2)
}

func TestACountIsTheSameInWhicheverOrderItIsMadeUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		moves := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
			text := rapid.SampledFrom([]string{"0.000000000001", "0.5", "1", "12.75", "3", "999999999999999999", "0.999999999999"}).Draw(t, "quantity")
			return move{events.MustQuantity(text), rapid.Bool().Draw(t, "is put in")}
		}), 0, 20).Draw(t, "moves")
		sum := new(big.Rat)
		var inOrder, inAnother Count
		for _, m := range moves {
			inOrder = m.apply(inOrder)
			if m.in {
				sum.Add(sum, m.quantity.Rat())
			} else {
				sum.Sub(sum, m.quantity.Rat())
			}
		}
		for _, m := range rapid.Permutation(moves).Draw(t, "another order") {
			inAnother = m.apply(inAnother)
		}
		if inOrder != inAnother {
			t.Fatalf("%v in one order and %v in another", inOrder, inAnother)
		}
		if read, err := readCount(inOrder.bytes()); err != nil || read != inOrder {
			t.Fatalf("%v is read as %v, %v", inOrder, read, err)
		}
		got, err := inOrder.Total()
		switch {
		case sum.Sign() < 0 && (err != nil || !got.IsZero()):
			t.Fatalf("%s is a total of %s, %v; want 0", sum, got, err)
		case sum.Sign() >= 0 && (err != nil || got.Rat().Cmp(sum) != 0):
			t.Fatalf("%s is a total of %s, %v", sum, got, err)
		}
	})
}

// move is something put into a counter or taken out.
type move struct {
	quantity events.Quantity
	in       bool
}

func (m move) apply(c Count) Count {
	if m.in {
		return c.Add(m.quantity)
	}
	return c.Sub(m.quantity)
}

func TestACountBeyondWhatATotalHoldsOverflows(t *testing.T) {
	t.Parallel()
	most := events.MustQuantity("999999999999999999")
	var c Count
	for range 18 {
		c = c.Add(most)
	}
	if got, err := c.Total(); err != nil || got.String() != "17999999999999999982" {
		t.Errorf("18 of %s are %s, %v", most, got, err)
	}
	if got, err := c.Add(most).Total(); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("19 of %s are %s, %v; want ErrOverflow", most, got, err)
	}
}

func TestCountersOfAnotherLengthAreDamaged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := CounterKeyOf("a", noon, searches)
	r.must(r.x.db.Set(k.inDatabase(), []byte("3"), pebble.NoSync))
	if _, err := r.x.Count(k); !errors.Is(err, events.ErrInvalid) || !r.x.Broken() {
		t.Errorf("read a damaged counter: %v, broken %v", err, r.x.Broken())
	}
}
