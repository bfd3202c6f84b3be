package schedule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/chaos/schedule"
)

func config(seed uint64, faults, nodes int) schedule.Config {
	return schedule.Config{
		Seed: seed, Faults: faults, Events: 100_000,
		Topology: schedule.Topology{Nodes: nodes, Services: map[string]int{"rater": 3, "projector": 2, "enforcer": 2, "gateway": 1}},
	}
}

func TestASeedIsAScheduleOfItsOwn(t *testing.T) {
	one, again, other := schedule.Make(config(1, 50, 3)), schedule.Make(config(1, 50, 3)), schedule.Make(config(2, 50, 3))
	if diff := cmp.Diff(one, again); diff != "" {
		t.Errorf("one seed makes two schedules:\n%s", diff)
	}
	if cmp.Equal(one, other) {
		t.Error("two seeds make one schedule")
	}
}

func TestFaultsAreOfTheKindsAskedFor(t *testing.T) {
	c := config(3, 20, 1)
	c.Of = map[schedule.Kind]bool{schedule.Kill: true, schedule.Pause: true, schedule.NodeCut: true}
	faults := schedule.Make(c)
	if len(faults) != 20 {
		t.Errorf("%d faults; want 20", len(faults))
	}
	for _, f := range faults {
		if f.Kind != schedule.Kill && f.Kind != schedule.Pause {
			t.Errorf("%s; want kills and pauses alone", f)
		}
	}
	if c.Of = map[schedule.Kind]bool{schedule.NodeCut: true}; len(schedule.Make(c)) != 0 {
		t.Error("a cut between nodes where there is one")
	}
}

func TestFaultsAreSpreadOverTheEventsAndTheKinds(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		kinds := map[schedule.Kind]int{}
		last := 0
		faults := schedule.Make(config(7, 50, nodes))
		for _, f := range faults {
			kinds[f.Kind]++
			if f.At < last || f.At > 100_000 || f.Target == "" {
				t.Errorf("fault %s after one at %d", f, last)
			}
			last = f.At
		}
		if want := map[int]int{1: 20, 3: 23}[nodes]; len(kinds) != want || len(faults) != 50 {
			t.Errorf("%d nodes: %d faults of %d kinds; want 50 of %d", nodes, len(faults), len(kinds), want)
		}
	}
}
