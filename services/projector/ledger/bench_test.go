package ledger_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// bench applies entries a microsecond apart, reusing one buffer of postings.
type bench struct {
	state    *ledger.State
	point    ledger.Point
	postings []ledger.Posting
}

func newBench() *bench {
	return &bench{state: ledger.New(), point: ledger.Point{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
}

func (b *bench) apply(e events.Entry) {
	b.point.Sequence++
	b.point.Time = b.point.Time.Add(time.Microsecond)
	_, b.postings = b.state.Apply(b.point, e, b.postings[:0])
}

func (b *bench) grant(account string, i int, amount events.Credits) {
	e := grant(account, fmt.Sprint("g", i), amount)
	if i%2 == 0 { // every other one expires, in no order
		e.Grant.ExpiresAt = time.Date(2030, 1, 1, 0, 0, i*7919%1_000_003, 0, time.UTC)
	}
	b.apply(e)
}

func BenchmarkApplyDebit(b *testing.B) {
	for _, bm := range []struct {
		name   string
		grants int
		amount events.Credits // of each grant; a debit takes 0.01
	}{
		{"3 grants", 3, events.MaxCredits},
		{"100000 grants", 100_000, events.MaxCredits},
		{"100000 grants each spent by one debit", 100_000, events.Credit / 100},
		{"overage", 0, 0},
	} {
		b.Run(bm.name, func(b *testing.B) {
			fold := newBench()
			for i := range min(bm.grants, 9223) {
				fold.grant("ada", i, bm.amount)
			}
			for i := 9223; i < bm.grants; i++ {
				fold.grant("ada", i, events.Credit/100)
			}
			e := debit("ada", events.Credit/100)
			b.ReportAllocs()
			for b.Loop() {
				fold.apply(e)
			}
		})
	}
}

func BenchmarkApplyDebitMillionAccounts(b *testing.B) {
	const accounts = 1_000_000
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprintf("account-%07d", i)
	}
	before := heapBytes()
	fold := newBench()
	for i, name := range names {
		fold.apply(grant(name, fmt.Sprint("g", i), events.MaxCredits))
	}
	perAccount := float64(heapBytes()-before) / accounts
	e := debit("", events.Credit/100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Account = names[i*7919%accounts]
		fold.apply(e)
		i++
	}
	b.ReportMetric(perAccount, "B/account")
	runtime.KeepAlive(fold)
}

func BenchmarkApplyGrant(b *testing.B) {
	fold := newBench()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		fold.grant("ada", i, events.Credit)
		i++
	}
}

// BenchmarkRenew lets a day pass for an account whose grants all start over, or
// are all filled up again at a new period.
func BenchmarkRenew(b *testing.B) {
	const grants = 100_000
	for _, bm := range []struct {
		name       string
		recurrence string
		rollover   *events.Rollover
	}{
		{"100000 recurring grants", "day", nil},
		{"100000 grants with a rollover", "", &events.Rollover{Min: events.Credit, Max: events.Credit}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			fold := newBench()
			fold.apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Terms: events.Terms{Period: "day"}}})
			for i := range grants {
				e := grant("ada", fmt.Sprint("g", i), events.Credit)
				e.Grant.Recurrence, e.Grant.Rollover = bm.recurrence, bm.rollover
				fold.apply(e)
			}
			postings := 0
			for b.Loop() {
				fold.apply(debit("ada", grants*events.Credit))
				fold.point.Time = fold.point.Time.Add(24 * time.Hour)
				fold.apply(events.Entry{Kind: events.EntryTick, Account: "ada"})
				postings += len(fold.postings)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(postings), "ns/grant")
		})
	}
}

func BenchmarkBalance(b *testing.B) {
	for _, grants := range []int{3, 100_000} {
		b.Run(fmt.Sprint(grants, " grants"), func(b *testing.B) {
			fold := newBench()
			for i := range grants {
				fold.grant("ada", i, events.Credit)
			}
			b.ReportAllocs()
			for b.Loop() {
				fold.state.Balance("ada")
			}
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBudgets charges an account that counts many values, and asks for its
// balance.
func BenchmarkBudgets(b *testing.B) {
	for _, values := range []int{100, 10_000, 100_000} {
		before := heapBytes()
		fold := newBench()
		fold.apply(budgeted("ada", events.Budget{Scope: "key:*", Limit: events.MaxCredits, Per: "year"}))
		for i := range values {
			fold.apply(debitOf("", fmt.Sprintf("key_%012d", i), events.Credits(i)))
		}
		perValue := float64(heapBytes()-before) / float64(values)
		work := make([]events.Entry, 1000)
		for i := range work {
			work[i] = debitOf("", fmt.Sprintf("key_%012d", i*7919%values), 100)
		}
		b.Run(fmt.Sprint("charge of ", values), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				fold.apply(work[i%len(work)])
				i++
			}
			b.ReportMetric(perValue, "B/value")
		})
		b.Run(fmt.Sprint("balance of ", values), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fold.state.Balance("ada")
			}
		})
	}
}

// BenchmarkEndedHolds measures what is kept of holds that were captured.
func BenchmarkEndedHolds(b *testing.B) {
	const holds = 1_000_000
	for b.Loop() {
		before := heapBytes()
		fold := newBench()
		fold.apply(grant("ada", "g", events.MaxCredits))
		for i := range holds {
			id := fmt.Sprintf("hold_%012d", i)
			fold.apply(events.Entry{Kind: events.EntryHold, Account: "ada", Hold: &events.Hold{ID: id, Amount: 100}})
			fold.apply(events.Entry{Kind: events.EntryCapture, Account: "ada", Capture: &events.Capture{Hold: id, Amount: 60}})
		}
		b.ReportMetric(float64(heapBytes()-before)/holds, "B/hold")
		var size counter
		if err := fold.state.Encode(&size); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/holds, "encodedB/hold")
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
