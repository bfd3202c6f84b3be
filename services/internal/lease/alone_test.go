package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func (r *rig) broker() stream.Broker {
	r.t.Helper()
	b, err := stream.NewBroker(r.server.Connect())
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func TestWorkIsDoneByOneAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, other := r.broker(), r.broker()
	fails := errors.New("fails")
	begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- lease.Alone(t.Context(), one, "repricing", "first", func(context.Context) error {
			close(begun)
			<-goOn
			return fails
		})
	}()
	<-begun
	never := func(context.Context) error { t.Error("two work at once"); return nil }
	if err := lease.Alone(t.Context(), other, "repricing", "second", never); !errors.Is(err, lease.ErrTaken) || !strings.Contains(err.Error(), "first, since ") {
		t.Errorf("the second: %v; want ErrTaken, by first", err)
	}
	if err := lease.Alone(t.Context(), other, "another", "second", func(context.Context) error { return nil }); err != nil {
		t.Errorf("other work: %v", err)
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, fails) {
		t.Errorf("the first ended with %v", err)
	}
	done := false
	if err := lease.Alone(t.Context(), other, "repricing", "second", func(context.Context) error { done = true; return nil }); err != nil || !done {
		t.Errorf("when the first has ended: %v, done %v", err, done)
	}
}

// Whoever loses its key is told, and does not wait for ever.
func TestWorkEndsWhenItsLeaseIsAnothers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	err := lease.Alone(t.Context(), r.broker(), "repricing", "first", func(ctx context.Context) error {
		if _, err := r.js.Publish(ctx, "$KV.LEASES.alone.repricing", []byte(`{}`)); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "ran out") {
		t.Errorf("ended with %v", err)
	}
}
