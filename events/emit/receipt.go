package emit

import (
	"context"
	"fmt"
)

// Receipt is the outcome of one emitted event, once it is known.
type Receipt struct {
	done    chan struct{}
	spooled bool  // set before done is closed
	err     error // likewise
}

// Done is closed when the outcome is known.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Err returns nil when the event is kept: stored in the stream, or synced to
// this machine's spool. Otherwise it returns why not. It waits until that is
// known.
func (r *Receipt) Err() error {
	<-r.done
	return r.err
}

// Spooled reports that the event is kept by the spool: on this machine's disk,
// not in the stream yet. It waits until that is known, and does not change when
// the event is delivered. Without a spool it is false.
func (r *Receipt) Spooled() bool {
	<-r.done
	return r.spooled
}

// Wait is Err, but waits no longer than ctx. When ctx ends first its error
// matches both ErrUnacknowledged and the error of ctx.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	default:
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnacknowledged, ctx.Err())
	}
}

func (r *Receipt) settle(spooled bool, err error) {
	r.spooled, r.err = spooled, err
	close(r.done)
}
