package balances_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// BenchmarkFold measures ledger entries per second from the ledger's append to
// the bucket: fold, encode and put, in chunks of 500 debits.
func BenchmarkFold(b *testing.B) {
	for _, accounts := range []int{1, 2000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			const size = 500
			r := newRig(b)
			p, _ := r.start()
			r.awaitReady(p)
			names := accountsOf(1, accounts)
			for _, account := range names {
				r.command(grant(account, "g", "1000000"))
			}
			r.ask(grant(names[0], "h", "1"))
			var bodies [][]byte
			for range (b.N + size - 1) / size {
				var charged []string
				for range size {
					charged = append(charged, names[int(r.usage.Load()+uint64(len(charged)))%accounts])
				}
				body, err := events.EncodeChunk(r.chunk(charged...))
				if err != nil {
					b.Fatal(err)
				}
				bodies = append(bodies, body)
			}
			b.ResetTimer()
			for _, body := range bodies {
				if _, err := r.js.PublishAsync(events.LedgerSubject(1, events.WriterUsage), body); err != nil {
					b.Fatal(err)
				}
			}
			r.ask(grant(names[0], "last", "1")) // answered behind the puts of all
			b.ReportMetric(float64(len(bodies)*size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkGain measures how long it takes until two partitions with 50,000
// accounts each, of ten entries, are live again.
func BenchmarkGain(b *testing.B) {
	const accounts, rounds, size = 50_000, 10, 500
	r := newRig(b)
	for partition := range partitions {
		names := accountsOf(partition, accounts)
		for range rounds {
			for at := 0; at < accounts; at += size {
				r.debits(partition, names[at:at+size]...)
			}
		}
	}
	var saved snapshot.Memory
	for _, bm := range []struct {
		name  string
		store snapshot.Store
	}{{"from the start", nil}, {"first save", &saved}, {"from a snapshot", &saved}} {
		start := func() (time.Duration, func()) {
			began := time.Now()
			p, stop := r.start(func(c *balances.Config) { c.Snapshots = bm.store })
			r.awaitReady(p)
			return time.Since(began), stop
		}
		_, stop := start() // writes what is missing
		stop()
		b.Run(bm.name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				d, stop := start()
				took += d
				stop()
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "s/gain")
		})
	}
}
