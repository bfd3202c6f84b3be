package simulation

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// TestAUsageStreamThatLostItsEndStopsItsPartitionsUntilItIsRepaired lets a seed
// happen, takes the end of USAGE away and gives its sequences out again.
func TestAUsageStreamThatLostItsEndStopsItsPartitionsUntilItIsRepaired(t *testing.T) {
	eachSeed(t, fewer(), func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed)
			w.begin()
			for w.load.left > 0 {
				w.step()
			}
			wrong := w.heal()
			if wrong == "" {
				wrong = w.loseUsage()
			}
			if o := w.end(wrong); o.wrong != "" {
				t.Errorf("seed %d: %s\n%s", seed, o.wrong, tail(o))
			}
		})
	})
}

// loseUsage takes the end of USAGE, publishes on, checks that the partitions
// concerned stop, and no others, and repairs them.
func (w *world) loseUsage() string {
	end := uint64(w.rng.IntN(int(w.server.Last(events.StreamUsage))))
	settled := w.settledThrough()
	for _, m := range w.published() {
		if m.Sequence > end {
			m.lost = true
			w.load.lost = append(w.load.lost, m)
		}
	}
	w.say("USAGE loses what is behind %d", end)
	w.server.Rewind(events.StreamUsage, end)
	for _, in := range w.instances {
		w.disconnect(in)
	}
	w.publish(5)
	before := w.settledThrough()
	for range 10 {
		w.settle()
		time.Sleep(time.Second)
	}
	w.publish(5)
	w.settle()
	for p := range partitions {
		concerned := settled[p] > end
		if wrong := w.stopsAt(p, concerned); wrong != "" {
			return wrong
		}
		if concerned && w.settledThrough()[p] != before[p] {
			return fmt.Sprintf("partition %d is stopped and went on", p)
		}
	}
	if wrong := w.repair(); wrong != "" {
		return wrong
	}
	w.publish(5)
	return w.heal()
}

func (w *world) publish(n int) {
	for w.load.left = n; w.load.left > 0; {
		w.load.next()
	}
}

// settledThrough is the last USAGE sequence that each partition has settled.
func (w *world) settledThrough() [partitions]uint64 {
	var through [partitions]uint64
	for _, m := range w.server.Messages(events.StreamLedger) {
		for p := range partitions {
			if m.Subject == events.LedgerSubject(p, events.WriterUsage) {
				through[p] = w.chunk(m).Span.Through.Sequence
			}
		}
	}
	return through
}

// stopsAt checks whether every rater of a partition is stopped for USAGE.
func (w *world) stopsAt(p int, want bool) string {
	for _, in := range w.instances {
		if in.service.name != "rater" {
			continue
		}
		r := in.share.report(p)
		if stopped := r.State == lease.StateStopped && strings.Contains(r.Error, events.StreamUsage); stopped != want {
			return fmt.Sprintf("%s says of partition %d that it is %s: %s; expected it to be stopped for USAGE: %v", in.name, p, r.State, r.Error, want)
		}
	}
	return ""
}

// repair does what drawdown verify --repair does to USAGE.
func (w *world) repair() string {
	client := w.network.Connect("repair")
	for p := range partitions {
		var err error
		repaired := make(chan struct{})
		go func() {
			defer close(repaired)
			_, err = rater.Rewind(context.Background(), client, p)
		}()
		w.settle()
		<-repaired
		if err != nil {
			return err.Error()
		}
	}
	return ""
}
