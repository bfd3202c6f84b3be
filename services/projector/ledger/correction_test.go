package ledger_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func correction(account string, first events.LedgerPlace, was, now events.Credits) events.Entry {
	c := &events.Correction{Source: "test", ID: "u", First: first, Corrects: first, Was: &events.Debit{Source: "test", ID: "u", Amount: was}}
	if now > 0 {
		c.Now = &events.Debit{Source: "test", ID: "u", Amount: now}
	}
	return events.Entry{Kind: events.EntryCorrection, Account: account, Correction: c}
}

// A recurring grant that cannot start over, as the account's totals would
// overflow, ends where it rests. What it gave comes back all the same.
func TestAGrantThatEndedWhileItRestedIsRefilled(t *testing.T) {
	fold := newBench()
	e := grant("ada", "daily", 10*events.Credit)
	e.Grant.Recurrence, e.Grant.ExpiresAt = "PT1M", fold.point.Time.Add(90*time.Second)
	fold.apply(e)
	fold.apply(debit("ada", 10*events.Credit))
	charged := events.LedgerPlace{Sequence: fold.point.Sequence, StoredAt: fold.point.Time}
	for i := range int(math.MaxInt64/events.MaxCredits) + 1 {
		fold.apply(grant("ada", fmt.Sprint("g", i), events.MaxCredits))
	}
	rest := grant("ada", "rest", 0)
	b, _ := fold.state.Balance("ada")
	rest.Grant.Amount = math.MaxInt64 - b.Granted
	fold.apply(rest)
	fold.point.Time = fold.point.Time.Add(61 * time.Second)
	fold.apply(events.Entry{Kind: events.EntryTick, Account: "ada"})
	fold.apply(correction("ada", charged, 10*events.Credit, 0))
	p := fold.postings[len(fold.postings)-1]
	if p.Kind != ledger.PostingCorrection || p.Refused != "" || p.Drawn != -10*events.Credit || len(p.Draws) != 1 || p.Draws[0].Left != 10*events.Credit {
		t.Errorf("the correction posted %+v", p)
	}
}

// BenchmarkCorrect takes back, and makes again, a charge that many grants paid.
func BenchmarkCorrect(b *testing.B) {
	for _, grants := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(grants, " grants"), func(b *testing.B) {
			fold := newBench()
			for i := range grants {
				fold.grant("ada", i, events.Credit)
			}
			amount := events.Credits(grants) * events.Credit
			b.ReportAllocs()
			for b.Loop() {
				fold.apply(debit("ada", amount))
				at := events.LedgerPlace{Sequence: fold.point.Sequence, StoredAt: fold.point.Time}
				fold.apply(correction("ada", at, amount, 0))
				if last := fold.postings[len(fold.postings)-1]; last.Drawn != -amount {
					b.Fatalf("posted %+v", last.Refused)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*grants), "ns/grant")
		})
	}
}
