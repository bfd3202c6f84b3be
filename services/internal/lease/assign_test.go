package lease

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPartitionsAreSharedEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 64).Draw(t, "partitions")
		instances := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9-]{1,12}`), 1, 20, rapid.ID).Draw(t, "instances")
		count := map[string]int{}
		for p, owner := range assign("rater", partitions, instances) {
			if !slices.Contains(instances, owner) {
				t.Fatalf("partition %d goes to %q", p, owner)
			}
			count[owner]++
		}
		for _, i := range instances {
			if n := count[i]; n < partitions/len(instances) || n > (partitions+len(instances)-1)/len(instances) {
				t.Errorf("%s has %d of %d partitions among %d instances", i, n, partitions, len(instances))
			}
		}
	})
}

func TestWhoSeesTheSameInstancesSharesTheSame(t *testing.T) {
	instances := []string{"a", "b", "c", "d"}
	want := assign("rater", 16, instances)
	slices.Reverse(instances)
	if got := assign("rater", 16, instances); !slices.Equal(got, want) {
		t.Errorf("in another order %v; want %v", got, want)
	}
}

// Even sharing moves some more than plain rendezvous hashing; most stay.
func TestMostPartitionsStayWhenAnInstanceJoins(t *testing.T) {
	const rounds, partitions = 200, 16
	for n := 1; n <= 4; n++ {
		moved := 0
		for round := range rounds {
			var instances []string
			for i := range n + 1 {
				instances = append(instances, fmt.Sprintf("host-%d-%d", round, i))
			}
			before, after := assign("rater", partitions, instances[:n]), assign("rater", partitions, instances)
			for p := range partitions {
				if before[p] != after[p] && after[p] != instances[n] {
					moved++
				}
			}
		}
		// Beyond what the new instance takes, which has to move.
		if perJoin := float64(moved) / rounds; perJoin > 3 {
			t.Errorf("when instance %d joins, %.1f of %d partitions move between the others; want at most 3", n+1, perJoin, partitions)
		} else {
			t.Logf("when instance %d joins, %.2f partitions move between the others", n+1, perJoin)
		}
	}
}
