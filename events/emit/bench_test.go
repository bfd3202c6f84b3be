package emit_test

import (
	"strconv"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

// emitAll emits b.N events from one goroutine and waits until all are kept.
func emitAll(b *testing.B, e *emit.Emitter) {
	b.Helper()
	usages := make([]events.Usage, 1000)
	for n := range usages {
		usages[n] = usage(n)
	}
	last := 0
	for b.Loop() {
		u := usages[last%len(usages)]
		u.ID = strconv.Itoa(last)
		if _, err := e.Emit(b.Context(), u); err != nil {
			b.Fatal(err)
		}
		last++
	}
	if err := e.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEmit(b *testing.B) {
	for name, withSpool := range map[string]bool{"without a spool": false, "with an idle spool": true} {
		b.Run(name, func(b *testing.B) {
			nc := connect(b, startServer(b, nil))
			createUsage(b, nc, nil)
			opts := spooled(b)
			opts.InFlight = 0
			if !withSpool {
				opts.Spool = emit.Spool{}
			}
			e := newEmitter(b, nc, opts)
			emitAll(b, e)
			if n := e.Stats().Spool.Spooled; n > 0 {
				b.Errorf("%d events were spooled", n)
			}
		})
	}
}

// BenchmarkSpool measures events kept on disk, each synced before it is
// reported as kept.
func BenchmarkSpool(b *testing.B) {
	b.Run("many in flight", func(b *testing.B) {
		opts := spooled(b)
		opts.Spool.MaxBytes = 16 << 30
		emitAll(b, newEmitter(b, connectTo(b, newOutage(b).url()), opts))
	})
	b.Run("one at a time", func(b *testing.B) {
		e := newEmitter(b, connectTo(b, newOutage(b).url()), spooled(b))
		n := 0
		for b.Loop() {
			if err := e.EmitWait(b.Context(), usage(n)); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

// BenchmarkDrain measures events delivered out of the spool.
func BenchmarkDrain(b *testing.B) {
	const held = 200_000
	o := newOutage(b)
	o.endWithUsage(nil)
	opts := spooled(b)
	for b.Loop() {
		b.StopTimer()
		o.begin()
		e := newEmitter(b, connectTo(b, o.url()), opts)
		for n := range held {
			if _, err := e.Emit(b.Context(), usage(n)); err != nil {
				b.Fatal(err)
			}
		}
		if err := e.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		o.end()
		b.StartTimer()
		if err := e.Delivered(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(held*b.N)/b.Elapsed().Seconds(), "events/s")
}
