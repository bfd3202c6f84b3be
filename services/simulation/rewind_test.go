package simulation

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// TestAUsageStreamThatLostItsEndStopsItsPartitionsUntilItIsRepaired takes the end
// of USAGE away and gives its sequences out again.
func TestAUsageStreamThatLostItsEndStopsItsPartitionsUntilItIsRepaired(t *testing.T) {
	afterwards(t, (*world).loseUsage)
}

// TestALedgerThatLostItsEndStopsWhatWasBuiltOnIt takes the end of LEDGER away and
// gives its sequences out again.
func TestALedgerThatLostItsEndStopsWhatWasBuiltOnIt(t *testing.T) {
	afterwards(t, (*world).loseLedger)
}

// afterwards lets seeds happen, and then something more.
func afterwards(t *testing.T, what func(*world) (wrong string)) {
	eachSeed(t, fewer(), func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed)
			w.begin()
			for w.load.left > 0 {
				w.step()
			}
			wrong := w.heal()
			if wrong == "" {
				wrong = what(w)
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
	w.wait(10 * time.Second)
	w.publish(5)
	w.settle()
	for p := range partitions {
		concerned := settled[p] > end
		if wrong := w.stops("rater", p, events.StreamUsage, concerned); wrong != "" {
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

// wait lets everything happen for a while.
func (w *world) wait(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; w.advance(time.Second) {
		w.settle()
	}
}

// stops checks whether every instance of a service is stopped on a partition
// for what a stream lost.
func (w *world) stops(service string, p int, stream string, want bool) string {
	for _, in := range w.instances {
		if in.service.name != service {
			continue
		}
		r := in.share.report(p)
		if stopped := r.State == lease.StateStopped && strings.Contains(r.Error, stream); stopped != want {
			return fmt.Sprintf("%s says of partition %d that it is %s: %s; expected it to be stopped for %s: %v", in.name, p, r.State, r.Error, stream, want)
		}
	}
	return ""
}

// loseLedger takes the end of LEDGER. Raters rate again what it lost; what was
// built on it stops, and shows nothing of the shorter ledger.
func (w *world) loseLedger() string {
	last := w.server.Last(events.StreamLedger)
	end := last - 1 - uint64(w.rng.IntN(int(last/2)))
	concerned := w.builtBehind(end)
	for sequence := range w.chunks {
		if sequence > end {
			delete(w.chunks, sequence)
			delete(w.written, sequence)
		}
	}
	balances := w.server.Last("KV_" + events.BucketBalances)
	w.say("LEDGER loses what is behind %d of %d", end, last)
	w.server.Rewind(events.StreamLedger, end)
	for _, in := range w.instances {
		w.disconnect(in)
	}
	w.publish(5)
	w.wait(20 * time.Second)
	if wrong := w.auditUsage(); wrong != "" {
		return wrong
	}
	for p := range partitions {
		if wrong := w.stops("balances", p, events.StreamLedger, concerned[p]); wrong != "" {
			return wrong
		}
	}
	for _, m := range w.server.Messages("KV_" + events.BucketBalances) {
		account := strings.TrimPrefix(m.Subject, "$KV."+events.BucketBalances+".")
		if m.Sequence > balances && concerned[events.Partition(account, partitions)] {
			return fmt.Sprintf("balance %d of %s was written on the shorter ledger", m.Sequence, account)
		}
	}
	return w.stops("clickhouse", 0, events.StreamLedger, true)
}

// builtBehind tells which partitions have a value in a bucket that was built on
// a LEDGER message behind end. Where nobody has, folding again is all there is to
// do.
func (w *world) builtBehind(end uint64) (built [partitions]bool) {
	for _, bucket := range []string{events.BucketBalances, events.BucketCatalog} {
		for _, m := range w.server.Messages("KV_" + bucket) {
			text, _, _ := strings.Cut(m.Header.Get("Drawdown-Ledger-Place"), ".")
			place, err := strconv.ParseUint(text, 10, 64)
			if err != nil || place <= end {
				continue
			}
			key := strings.TrimPrefix(m.Subject, "$KV."+bucket+".")
			account, ofAccount := strings.CutPrefix(key, "account.")
			switch {
			case bucket == events.BucketBalances || ofAccount:
				built[events.Partition(account, partitions)] = true
			default: // plans and rate cards
				built[0] = true
			}
		}
	}
	return built
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
