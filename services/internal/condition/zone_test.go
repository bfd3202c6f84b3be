package condition

import (
	"strconv"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Only a condition that asks the cache finds a zone that no file has.
func TestAConditionReadsNoFilePerEvent(t *testing.T) {
	t.Parallel()
	const name = "Nowhere/Kept"
	zones.lock.Lock()
	zones.keep(name, time.FixedZone(name, 5*3600))
	zones.lock.Unlock()
	in := &Input{Usage: &events.Usage{Time: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Data: events.UsageData{Project: name}}}
	for _, when := range []string{`time.getHours("Nowhere/Kept") == 5`, `time.getHours(project) == 5`} {
		c, err := Compile(when)
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := c.Holds(in); err != nil || !holds {
			t.Errorf("%s: %v, %v", when, holds, err)
		}
	}
}

func TestAZoneIsReadOnceAndZonesKeptAreBounded(t *testing.T) {
	t.Parallel()
	var z zoneCache
	first, err := z.load("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := z.load("Europe/Berlin"); err != nil || again != first {
		t.Errorf("read again: %p, %v; want %p", again, err, first)
	}
	for i := range zonesMax {
		z.keep(strconv.Itoa(i), time.UTC)
	}
	if tokyo, err := z.load("Asia/Tokyo"); err != nil || tokyo.String() != "Asia/Tokyo" || len(z.byName) != zonesMax {
		t.Errorf("behind the bound: %v, %v, and %d zones kept; want Tokyo and %d", tokyo, err, len(z.byName), zonesMax)
	}
	for _, name := range []string{"Local", "Europe/Berln", "../zone"} {
		if zone, err := z.load(name); err == nil {
			t.Errorf("%s is %v; want an error", name, zone)
		}
	}
}
