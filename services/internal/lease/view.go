package lease

import (
	"slices"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// view is what an instance has seen of one service's keys.
type view struct {
	watch    int               // that saw it; 0: none did yet
	complete bool              // every key there is was seen
	members  map[string]entry  // alive, by instance
	leases   []entry           // by partition
	last     map[string]uint64 // newest sequence of each instance's key, alive or not
}

func newView(partitions int) view {
	return view{members: map[string]entry{}, leases: make([]entry, partitions), last: map[string]uint64{}}
}

// apply takes a message of the service's keys; what is older than what was seen
// changes nothing.
func (v *view) apply(m stream.Message) {
	if e, ok := parse(m); ok {
		v.set(e)
	}
	if m.Pending == 0 {
		v.complete = true
	}
}

func (v *view) set(e entry) {
	switch {
	case e.partition >= len(v.leases):
	case e.partition >= 0:
		if e.sequence > v.leases[e.partition].sequence {
			v.leases[e.partition] = e
		}
	case e.sequence <= v.last[e.instance]:
	case e.value.Instance == e.instance:
		v.last[e.instance], v.members[e.instance] = e.sequence, e
	default:
		v.last[e.instance] = e.sequence
		delete(v.members, e.instance)
	}
}

// instances returns who is alive, self included, in order.
func (v *view) instances(self string) []string {
	found := []string{self}
	for name := range v.members {
		if name != self {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
