package clickhouse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestAClickHouseThatHangsHoldsTheReaderBackBehindTwoBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		ctx, cancel := context.WithCancel(t.Context())
		messages, taken := make(chan stream.Message), 0
		go func() {
			for sequence := uint64(1); ; sequence++ {
				select {
				case messages <- message(t, sequence, at, 3):
					taken++
				case <-ctx.Done():
					return
				}
			}
		}()
		p := &Projection{config: Config{FlushEvery: time.Second}, status: newStatus()}
		f := &filler{
			projection: p, messages: messages, folder: newFolder(manifest{}, partitions), snapshots: &snapshots{}, next: 1,
			cutter: cutter{limits: limits{rows: 9, bytes: 1 << 20}},
		}
		full, free, done := make(chan *batch), make(chan *batch, 1), make(chan error, 1)
		free <- newBatch()
		go func() { done <- f.run(ctx, full, free) }()

		sending := <-full // and ClickHouse does not answer
		first := sending.span
		<-time.After(time.Hour) // of the bubble: more than any flush
		synctest.Wait()
		if first != (Span{1, 3}) || taken != 6 {
			t.Errorf("batch %s is being sent, and %d messages were taken; want 1-3, and 6", first, taken)
		}
		sending.reset()
		free <- sending
		if next := <-full; next.span != (Span{4, 6}) {
			t.Errorf("then comes batch %s; want 4-6", next.span)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
