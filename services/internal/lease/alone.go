package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// ErrTaken reports that somebody else does the work.
var ErrTaken = errors.New("somebody else does this work")

// errLapsed ends work whose key may be another's by now.
var errLapsed = errors.New("the lease on this work ran out")

const alonePrefix = "alone."

// Alone does work that is to be done by one at a time, under a key of bucket
// LEASES that is kept alive meanwhile. It answers ErrTaken when somebody else is
// at it. The context of work ends when the key cannot be kept alive; as with all
// leases, that two never write the same is for fences to see to.
//
// Whoever dies leaves a key that runs out in TTL.
func Alone(ctx context.Context, b stream.Broker, name, owner string, work func(context.Context) error) error {
	a := alone{log: b.Log(Bucket), key: subject(alonePrefix + name), self: Member{Instance: owner, Since: time.Now().UTC()}}
	sent := time.Now()
	if err := a.take(ctx); err != nil {
		return fmt.Errorf("take the lease on %s: %w", name, err)
	}
	ctx, end := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if a.keep(ctx, sent) != nil {
			end(errLapsed)
		}
	}()
	err := work(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errLapsed) && err != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	end(nil)
	<-kept
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), TTL/3)
	defer cancel()
	_, _ = a.log.Append(bounded, remove(a.key, a.sequence)) // else it runs out
	return err
}

// alone is a key of one's own.
type alone struct {
	log      stream.Log
	key      string
	self     Member
	sequence uint64
}

// take writes the key unless it is somebody's.
func (a *alone) take(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, TTL)
	defer cancel()
	last, ok, err := a.log.Last(bounded, a.key)
	if err != nil {
		return err
	}
	if ok && !isGone(last) {
		var by Member
		_ = json.Unmarshal(last.Data, &by) // a name for people
		return fmt.Errorf("%w: %s, since %s", ErrTaken, by.Instance, by.Since.UTC().Format(time.RFC3339))
	}
	a.sequence, err = a.log.Append(bounded, put(a.key, last.Sequence, a.self, TTL))
	if errors.Is(err, stream.ErrFenced) {
		return ErrTaken
	}
	return err
}

// keep renews the key until ctx ends, and returns early when it may have run out.
func (a *alone) keep(ctx context.Context, sent time.Time) error {
	every := time.NewTicker(TTL / 3)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		now := time.Now()
		bounded, cancel := context.WithTimeout(ctx, TTL/3)
		sequence, err := a.log.Append(bounded, put(a.key, a.sequence, a.self, TTL))
		cancel()
		switch {
		case err == nil:
			a.sequence, sent = sequence, now
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, stream.ErrFenced), time.Since(sent) > TTL-TTL/6:
			return err
		}
	}
}
