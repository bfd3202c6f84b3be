package dedup

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// format is the version of what is on disk; another one is not read.
const format = 3

// Identity says whose events an index remembers and for how long. An index of
// another identity is not used.
type Identity struct {
	Installation string `json:"installation"`
	Partition    int    `json:"partition"`
	Partitions   int    `json:"partitions"`
	// Horizon is how old an event may be when it is stored, MaxAhead how far
	// ahead its time may lie then: an event may come again for as long as both.
	Horizon  time.Duration `json:"horizon_ns"`
	MaxAhead time.Duration `json:"max_ahead_ns"`
}

// State is the place that an index stands at.
type State struct {
	// Mark is the last ledger message whose events are in the index.
	Mark stream.Mark `json:"mark"`
	// Position is the usage event that message settles through.
	Position events.Position `json:"position"`
	// Corrected is the last correction that is in the counters; the zero mark says
	// that none is that was stored since the index began.
	Corrected stream.Mark `json:"corrected,omitzero"`
}

// record is the state on disk.
type record struct {
	Format int `json:"format"`
	Identity
	State
	// Known counts the keys of each generation.
	Known map[generation]int64 `json:"known"`
	// Since is how far back counters go: ledger messages stored before it are
	// not in them.
	Since time.Time `json:"since,omitzero"`
	// Counters of billing periods that started before Oldest are forgotten.
	Oldest time.Time `json:"oldest,omitzero"`
}

// mismatch says in which way a record is not of id, empty when it is.
func (r *record) mismatch(id Identity) string {
	differs := func(what string, found, want any) string {
		return fmt.Sprintf("it is of %s %v, not %v", what, found, want)
	}
	switch {
	case r.Format != format:
		return differs("format", r.Format, format)
	case r.Installation != id.Installation:
		return differs("installation", r.Installation, id.Installation)
	case r.Partition != id.Partition || r.Partitions != id.Partitions:
		return fmt.Sprintf("it is of partition %d of %d, not %d of %d", r.Partition, r.Partitions, id.Partition, id.Partitions)
	case r.Horizon != id.Horizon:
		return differs("horizon", r.Horizon, id.Horizon)
	case r.MaxAhead != id.MaxAhead:
		return differs("max-ahead", r.MaxAhead, id.MaxAhead)
	}
	return ""
}

func decodeRecord(b []byte) (r record, err error) {
	// The format is read first: another one may look different otherwise.
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &version); err != nil || version.Format != format {
		return record{Format: version.Format}, err
	}
	return r, json.Unmarshal(b, &r)
}

// generations is how many generations a horizon is cut into. More forget
// sooner what is beyond it, fewer make look-ups cheaper.
const generations = 8

// length is how long a generation lasts.
func (id Identity) length() time.Duration {
	return max(time.Second, (id.Horizon+generations-1)/generations)
}

func (id Identity) generationOf(t time.Time) generation {
	return generation(max(0, t.UnixNano()) / int64(id.length()))
}

// Window returns how long before the time of the usage being settled an event
// may have been charged that can still come again. It is longer than horizon
// and max-ahead by one generation, so that clocks of the streams' leaders may
// differ by that much.
func (id Identity) Window() time.Duration { return id.Horizon + id.MaxAhead + id.length() }

// forgettable reports whether all of g is charged before the window of now.
func (id Identity) forgettable(g generation, now time.Time) bool {
	end := time.Unix(0, (int64(g)+1)*int64(id.length()))
	return !end.After(now.Add(-id.Window()))
}
