package balances_test

import (
	"fmt"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
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
