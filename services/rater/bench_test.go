package rater_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// BenchmarkPartition rates batches of 100 events of one partition from USAGE
// into the ledger; the events are stored before the clock starts.
func BenchmarkPartition(b *testing.B) {
	end, dear, cheap := events.MustQuantity("1000"), events.MustQuantity("0.15"), events.MustQuantity("0.1")
	for name, price := range map[string]events.Price{
		"per unit":  {PerUnit: []events.PerUnit{{Quantity: "tokens_in", Price: dear, Per: events.MustQuantity("1000")}}},
		"graduated": {Graduated: &events.Tiered{Quantity: "tokens_in", Tiers: []events.PriceTier{{UpTo: &end, Price: dear}, {Price: cheap}}}},
	} {
		b.Run(name, func(b *testing.B) { benchmarkPartition(b, price) })
	}
}

func benchmarkPartition(b *testing.B, price events.Price) {
	const batch = 100
	w := newWorld(b)
	w.putCard(events.RateCard{Card: "default", Version: 1, Rules: []events.Rule{
		{Name: "free", Match: events.Match{Status: "5xx"}, Price: events.Price{Flat: ptr(events.MustQuantity("0"))}},
		{Name: "chat", Match: events.Match{Operation: "POST /v1/*"}, Price: price},
	}})
	messages := max(1, b.N/batch)
	for i := range messages {
		us := make([]events.Usage, batch)
		for j := range us {
			us[j] = usage(accountOf(0, j%8), fmt.Sprintf("01J9ZK3M8Q%010d%06d", i, j))
			us[j].Data = events.UsageData{
				Operation: "POST /v1/chat", Status: 200, Project: "web", Key: "key_7f3",
				Quantities: map[string]events.Quantity{"tokens_in": events.WholeQuantity(int64(j)), "bytes_out": events.WholeQuantity(2048)},
				Attributes: map[string]string{"model": "large", "region": "eu"},
			}
		}
		w.publishBatch(us...)
	}
	info, err := w.streams.Usage.Info(b.Context())
	w.must(err)
	registry := prometheus.NewRegistry()
	b.ResetTimer()
	cpu := cpuTime(b)
	held := of(0)
	stop := w.start(rater.Config{Share: held, Metrics: registry})
	w.await(held, 0, func(r lease.Report) bool {
		return r.Sequence == info.State.LastSeq && r.Known == int64(messages*batch)
	})
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	stop()
	total := float64(messages * batch)
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/total, "cpu-ns/event") // with the server's
	b.ReportMetric(total/chunks(b, registry), "events/chunk")
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func chunks(b *testing.B, registry *prometheus.Registry) float64 {
	families, err := registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "drawdown_rater_chunks_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	b.Fatal("no chunks counted")
	return 0
}

// BenchmarkLatency is one event from publish to the debit, one at a time.
func BenchmarkLatency(b *testing.B) {
	w := newWorld(b)
	w.applyCard(1, time.Time{}, "1")
	w.run(0)
	reader, err := w.broker.Log(events.StreamLedger).Read(b.Context(), stream.From{}, events.LedgerSubject(0, events.WriterUsage))
	w.must(err)
	defer reader.Close()
	for i := 0; b.Loop(); i++ {
		w.publish(usage(accountOf(0, 0), fmt.Sprint(i)))
		_, err := reader.Next(b.Context())
		w.must(err)
	}
}
