package lease

import (
	"context"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// again is the pause before what failed or ended early is done again.
const (
	again      = time.Second
	watchAgain = 100 * time.Millisecond
)

// change is a message of the keys watched, in the watch of that number.
type change struct {
	watch   int
	message stream.Message
}

// rewatch begins to watch the service's keys anew. What the watch before had
// seen stays in use until the new one has seen all there is.
func (k *keeper) rewatch(ctx context.Context) {
	k.unwatch()
	k.watch++
	k.behind, k.fresh = 0, newView(k.Partitions)
	ctx, k.unwatch = context.WithCancel(ctx)
	number := k.watch
	k.running.Go(func() { k.follow(ctx, number) })
}

// follow hands on what happens to the service's keys until ctx ends.
func (k *keeper) follow(ctx context.Context, number int) {
	var reader *stream.Reader
	for {
		var err error
		reader, err = k.log.Read(ctx, stream.From{LastPerSubject: true}, memberKey(k.Service, "*"), subject(leasePrefix+k.Service+".*"))
		if err == nil {
			break
		}
		if pause.For(ctx, watchAgain) != nil {
			return
		}
	}
	defer reader.Close()
	for {
		m, err := reader.Next(ctx)
		if err != nil {
			return
		}
		select {
		case k.changes <- change{watch: number, message: m}:
		case <-ctx.Done():
			return
		}
	}
}

// observe takes a change. A new watch counts once it is complete.
func (k *keeper) observe(c change) {
	if c.watch != k.watch {
		return
	}
	if k.view.watch == k.watch {
		k.view.apply(c.message)
		return
	}
	k.fresh.apply(c.message)
	if k.fresh.complete {
		k.view, k.fresh = k.fresh, view{}
		k.view.watch = k.watch
	}
}

// How many renewals a watch may be behind our own key before it is begun anew,
// and a watch that has not seen all keys yet.
const (
	behindMax = 3
	openMax   = 10
)

// checkWatch begins the watch anew when it has not shown our own key as we had
// written it last: the bucket may have been made anew under it.
func (k *keeper) checkWatch(ctx context.Context, shown bool) {
	switch {
	case k.watch == 0 || k.reopen:
		k.reopen = false
		k.rewatch(ctx)
	case k.view.watch != k.watch:
		if k.behind++; k.behind > openMax {
			k.rewatch(ctx)
		}
	case shown:
		k.behind = 0
	default:
		if k.behind++; k.behind > behindMax {
			k.rewatch(ctx)
		}
	}
}
