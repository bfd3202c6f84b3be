package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

// Batches measures events sent by the SDK, in batches.
func (r *Run) Batches(ctx context.Context) (Throughput, error) {
	emitter, err := emit.New(r.NATS, emit.Options{Partitions: r.Streams.Partitions})
	if err != nil {
		return Throughput{}, fmt.Errorf("build the emitter: %w", err)
	}
	t, err := r.throughput(ctx, "batch", "SDK batches", func(ctx context.Context) error {
		for i := range r.Events {
			if _, err := emitter.Emit(ctx, r.usage("batch", r.account("batch", i%r.Accounts), i)); err != nil {
				return err
			}
		}
		return emitter.Flush(ctx)
	})
	if err != nil {
		return t, err
	}
	return t, emitter.Close(ctx)
}

// Singles measures events sent one message each, asynchronously.
func (r *Run) Singles(ctx context.Context) (Throughput, error) {
	return r.throughput(ctx, "single", "one message per event", func(ctx context.Context) error {
		for i := range r.Events {
			account := r.account("single", i%r.Accounts)
			body, err := events.AppendStructured(nil, r.usage("single", account, i))
			if err != nil {
				return err
			}
			if err := r.publish(events.UsageSubject(account), events.ContentTypeEvent, body); err != nil {
				return err
			}
		}
		return r.flush(ctx)
	})
}

// Chain measures what plain JetStream does with the same bytes on the same
// server: publish, consume, publish one message per event, consume.
func (r *Run) Chain(ctx context.Context) (Throughput, error) {
	in, err := r.scratch(ctx, "BENCH_IN")
	if err != nil {
		return Throughput{}, err
	}
	out, err := r.scratch(ctx, "BENCH_OUT")
	if err != nil {
		return Throughput{}, err
	}
	defer func() { // leftovers are replaced by the next run
		_ = r.js.DeleteStream(context.WithoutCancel(ctx), "BENCH_IN")
		_ = r.js.DeleteStream(context.WithoutCancel(ctx), "BENCH_OUT")
	}()
	body, err := events.AppendStructured(nil, r.usage("chain", "chain", 0))
	if err != nil {
		return Throughput{}, err
	}
	forwarder, err := jetstream.New(r.NATS, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return Throughput{}, fmt.Errorf("open JetStream: %w", err)
	}
	began := time.Now()
	finished := make(chan struct{})
	first, err := consume(ctx, in, func(m jetstream.Msg, _ int) {
		_, _ = forwarder.PublishMsgAsync(&nats.Msg{Subject: "BENCH_OUT.x", Data: m.Data()}) // one that fails is missed below
	})
	if err != nil {
		return Throughput{}, err
	}
	defer first.Stop()
	second, err := consume(ctx, out, func(_ jetstream.Msg, n int) {
		if n == r.Events {
			close(finished)
		}
	})
	if err != nil {
		return Throughput{}, err
	}
	defer second.Stop()
	for range r.Events {
		if err := r.publish("BENCH_IN.x", events.ContentTypeEvent, body); err != nil {
			return Throughput{}, err
		}
	}
	if err := r.flush(ctx); err != nil {
		return Throughput{}, err
	}
	stored := time.Since(began)
	select {
	case <-finished:
	case <-ctx.Done():
		return Throughput{}, fmt.Errorf("wait for the plain chain: %w", context.Cause(ctx))
	}
	return r.rate("plain JetStream chain", stored, time.Since(began)), nil
}

func (r *Run) scratch(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := r.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".*"}, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", name, err)
	}
	return s, nil
}

func consume(ctx context.Context, s jetstream.Stream, handle func(m jetstream.Msg, n int)) (jetstream.ConsumeContext, error) {
	consumer, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckAllPolicy, MaxAckPending: -1})
	if err != nil {
		return nil, fmt.Errorf("create a consumer: %w", err)
	}
	n := 0
	return consumer.Consume(func(m jetstream.Msg) {
		n++
		handle(m, n)
		if n%1000 == 0 {
			_ = m.Ack() // a lost ack costs a redelivery at the end
		}
	}, jetstream.PullMaxMessages(4000))
}

// throughput times send and the arrival of every event in a balance.
func (r *Run) throughput(ctx context.Context, series, how string, send func(context.Context) error) (Throughput, error) {
	r.Progress("%s: %d events over %d accounts …", how, r.Events, r.Accounts)
	if err := r.fund(ctx, series); err != nil {
		return Throughput{}, err
	}
	wait, err := r.charged(ctx, series, r.Price*events.Credits(r.Events))
	if err != nil {
		return Throughput{}, err
	}
	began := time.Now()
	if err := send(ctx); err != nil {
		return Throughput{}, fmt.Errorf("send %s: %w", how, err)
	}
	stored := time.Since(began)
	if err := wait(); err != nil {
		return Throughput{}, err
	}
	return r.rate(how, stored, time.Since(began)), nil
}

func (r *Run) rate(how string, stored, all time.Duration) Throughput {
	n := float64(r.Events)
	return Throughput{How: how, Events: r.Events, PerSecond: n / all.Seconds(), Stored: n / stored.Seconds()}
}

func (r *Run) publish(subject, contentType string, body []byte) error {
	m := nats.NewMsg(subject)
	m.Header.Set(events.HeaderContentType, contentType)
	m.Data = body
	for {
		_, err := r.js.PublishMsgAsync(m)
		if err != jetstream.ErrTooManyStalledMsgs {
			return err
		}
	}
}

func (r *Run) flush(ctx context.Context) error {
	select {
	case <-r.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
