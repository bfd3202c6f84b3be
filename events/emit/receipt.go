package emit

import (
	"context"
	"fmt"
)

// Receipt is the outcome of one emitted event, once it is known.
type Receipt struct {
	done chan struct{}
	err  error // set before done is closed
}

// Done is closed when the outcome is known.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Err returns nil when the stream has stored the event, and why not otherwise.
// It waits until that is known.
func (r *Receipt) Err() error {
	<-r.done
	return r.err
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

func (r *Receipt) settle(err error) {
	r.err = err
	close(r.done)
}
