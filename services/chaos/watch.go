package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/workload"
)

// watch notes when each partition was last written to, by the raters and by
// the projectors, to tell how long a partition stood still after a fault. The
// figures are for the report; nothing depends on them.
type watch struct {
	partitions int
	streams    []jetstream.ConsumeContext

	mu      sync.Mutex
	pending []*recovery
}

// recovery is a measurement under way: from a fault until every partition was
// written to again.
type recovery struct {
	stream string
	began  time.Time
	left   map[int]bool
	done   func(time.Duration)
}

const (
	watchedLedger   = "LEDGER"
	watchedBalances = "KV_BALANCES"
)

func startWatch(ctx context.Context, js jetstream.JetStream, partitions int) (*watch, error) {
	w := &watch{partitions: partitions}
	for name, filter := range map[string]string{watchedLedger: "ledger.*.usage", watchedBalances: "$KV.BALANCES.>"} {
		consumer, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverNewPolicy, FilterSubjects: []string{filter}, HeadersOnly: true,
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", name, err)
		}
		consuming, err := consumer.Consume(func(m jetstream.Msg) { w.seen(name, m.Subject()) })
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", name, err)
		}
		w.streams = append(w.streams, consuming)
	}
	return w, nil
}

func (w *watch) close() {
	for _, s := range w.streams {
		s.Stop()
	}
}

// seen notes that a partition was written to.
func (w *watch) seen(stream, subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return
	}
	partition := workload.Partition(subject[strings.LastIndexByte(subject, '.')+1:], w.partitions)
	if stream == watchedLedger {
		partition, _ = strconv.Atoi(strings.Split(subject, ".")[1]) // the filter matches nothing else
	}
	kept := w.pending[:0]
	for _, r := range w.pending {
		if r.stream == stream {
			delete(r.left, partition)
		}
		if len(r.left) > 0 {
			kept = append(kept, r)
			continue
		}
		r.done(time.Since(r.began))
	}
	w.pending = kept
}

// measure calls done once every partition was written to after now.
func (w *watch) measure(stream string, done func(time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := map[int]bool{}
	for p := range w.partitions {
		left[p] = true
	}
	w.pending = append(w.pending, &recovery{stream: stream, began: time.Now(), left: left, done: done})
}
