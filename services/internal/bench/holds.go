package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
)

// HoldLatency is the time from asking for a hold to hearing that it is placed,
// one after the other, in milliseconds.
type HoldLatency struct {
	How    string  `json:"how"`
	Trials int     `json:"trials"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// Holds measures holds over HTTP, by Config.Hold, and over requests of NATS.
func (r *Run) Holds(ctx context.Context) ([]HoldLatency, error) {
	var all []HoldLatency
	for _, way := range []struct {
		series, how string
		place       func(ctx context.Context, account string, h events.Hold) error
	}{{"hold-http", "HTTP", r.Hold}, {"hold-nats", "NATS request", r.holdOverNATS}} {
		r.Progress("holds over %s: %d trials …", way.how, r.Trials)
		account := r.account(way.series, 0)
		if err := r.Grant(ctx, account, events.MaxCredits); err != nil {
			return nil, fmt.Errorf("grant to %s: %w", account, err)
		}
		took := make([]time.Duration, 0, r.Trials)
		for i := range r.Trials {
			began := time.Now()
			if err := way.place(ctx, account, events.Hold{ID: fmt.Sprint("h", i), Amount: r.Price}); err != nil {
				return nil, fmt.Errorf("place a hold over %s: %w", way.how, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		all = append(all, HoldLatency{How: way.how, Trials: len(took), P50: quantile(took, 0.50), P99: quantile(took, 0.99), Max: quantile(took, 1)})
	}
	return all, nil
}

func (r *Run) holdOverNATS(ctx context.Context, account string, h events.Hold) error {
	body, err := json.Marshal(events.HoldRequest{Hold: &h})
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, trialTimeout, errors.New("no answer"))
	defer cancel()
	reply, err := r.NATS.RequestMsgWithContext(bounded, &nats.Msg{Subject: events.HoldSubject(account), Data: body})
	if err != nil {
		return err
	}
	if status := reply.Header.Get(events.HeaderStatus); status != "201" {
		return fmt.Errorf("answered %s: %s", status, reply.Data)
	}
	return nil
}
