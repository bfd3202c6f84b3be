package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

const trialTimeout = 10 * time.Second

// Exhaustion measures, under a steady load of other events, how long after the
// event that takes an account's last credits credits.exhausted arrives.
func (r *Run) Exhaustion(ctx context.Context, series string, load float64) (Latency, error) {
	r.Progress("exhaustion at %.0f events/s: %d trials …", load, r.Trials)
	if err := errors.Join(r.grantAll(ctx, series, r.Trials, r.Price), r.fund(ctx, series+"-load")); err != nil {
		return Latency{}, err
	}
	heard := make(chan *nats.Msg, 1024)
	subscription, err := r.NATS.ChanSubscribe("credits.exhausted.*", heard)
	if err != nil {
		return Latency{}, fmt.Errorf("subscribe to signals: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection goes on
	emitter, err := emit.New(r.NATS, emit.Options{Partitions: r.Streams.Partitions})
	if err != nil {
		return Latency{}, fmt.Errorf("build the emitter: %w", err)
	}
	background, stop := context.WithCancel(ctx)
	loaded := make(chan error, 1)
	go func() { loaded <- r.load(background, emitter, series+"-load", load) }()
	took, err := r.trials(ctx, emitter, series, heard)
	stop()
	if loadErr := <-loaded; err == nil {
		err = loadErr
	}
	if err != nil {
		return Latency{}, err
	}
	return latencyOf(load, took), emitter.Close(ctx)
}

// trials exhausts one account after another.
func (r *Run) trials(ctx context.Context, emitter *emit.Emitter, series string, heard <-chan *nats.Msg) ([]time.Duration, error) {
	took := make([]time.Duration, 0, r.Trials)
	for i := range r.Trials {
		account := r.account(series, i)
		began := time.Now()
		if _, err := emitter.Emit(ctx, r.usage(series, account, i)); err != nil {
			return nil, fmt.Errorf("emit the event that exhausts %s: %w", account, err)
		}
		if err := await(ctx, heard, events.SignalSubject(events.SignalExhausted, account)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

func await(ctx context.Context, heard <-chan *nats.Msg, subject string) error {
	timeout := time.NewTimer(trialTimeout)
	defer timeout.Stop()
	for {
		select {
		case m := <-heard:
			if m.Subject == subject {
				return nil
			}
		case <-timeout.C:
			return fmt.Errorf("no signal on %s within %s", subject, trialTimeout)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// load emits events at a steady rate until ctx ends.
func (r *Run) load(ctx context.Context, emitter *emit.Emitter, series string, perSecond float64) error {
	const tick = 5 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	due, sent := 0.0, 0
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		for due += perSecond * tick.Seconds(); float64(sent) < due; sent++ {
			if _, err := emitter.Emit(ctx, r.usage(series, r.account(series, sent%r.Accounts), sent)); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("emit the background load: %w", err)
			}
		}
	}
}
