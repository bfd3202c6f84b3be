package rater

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// view follows the keys of bucket CATALOG that one subject stands for, and hands
// what they hold to a keeper.
type view struct {
	broker  stream.Broker
	catalog stream.Log
	log     *slog.Logger
	what    string // the keys hold, for logs and errors
	subject string // with wildcards
	keeper  keeper

	mu       sync.Mutex
	revision uint64        // up to which the bucket is seen
	changed  chan struct{} // closed when revision grows
	loaded   chan struct{} // closed when everything there at start is seen
}

// keeper keeps what a view reads. A view calls it from one goroutine.
type keeper interface {
	// begin announces that the bucket is read from its beginning.
	begin()
	// take folds one change of the bucket.
	take(stream.Message)
	// publish puts everything taken since begin into use. It is called after
	// every change once all that was there has come.
	publish()
}

func newView(broker stream.Broker, log *slog.Logger, what, keys string, k keeper) *view {
	return &view{
		broker: broker, catalog: broker.Log(stream.BucketLog(events.BucketCatalog)), log: log,
		what: what, subject: stream.BucketSubject(events.BucketCatalog, keys), keeper: k,
		changed: make(chan struct{}), loaded: make(chan struct{}),
	}
}

// follow keeps the keeper up to date until ctx ends.
func (v *view) follow(ctx context.Context) {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		began := time.Now()
		err := v.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > retryMax {
			wait = retryMin // it held for a while
		}
		v.log.Warn("the catalog is read again", "what", v.what, "err", err)
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// watch reads the bucket from the start and follows it, for as long as the
// bucket is known to hold what was read.
func (v *view) watch(ctx context.Context) error {
	lost, stop := v.broker.Interrupted()
	defer stop()
	v.doubt()
	last, _, err := v.last(ctx)
	if err != nil {
		return err
	}
	reader, err := v.catalog.Read(ctx, stream.From{LastPerSubject: true}, v.subject)
	if err != nil {
		return err
	}
	defer reader.Close()
	v.keeper.begin()
	if last.Sequence == 0 {
		v.see(0)
	}
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	var seen stream.Mark
	for {
		select {
		case m := <-reader.Messages():
			v.keeper.take(m)
			seen = stream.MarkOf(m)
			if m.Sequence >= last.Sequence {
				v.see(m.Sequence)
			}
		case <-verify.C:
			if err := verified(ctx, v.catalog, seen); err != nil {
				return err
			}
		case <-lost:
			return errReconnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *view) last(ctx context.Context) (stream.Message, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, ok, err := v.catalog.Last(ctx, v.subject)
	if err != nil {
		return last, ok, fmt.Errorf("look for newer %s: %w", v.what, err)
	}
	return last, ok, nil
}

// doubt notes that what was seen may be gone. It stays in use until the bucket
// is read again.
func (v *view) doubt() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revision = 0
}

// see puts what was taken into use, read up to revision.
func (v *view) see(revision uint64) {
	v.keeper.publish()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revision = revision
	close(v.changed)
	v.changed = make(chan struct{})
	select {
	case <-v.loaded:
	default:
		close(v.loaded)
	}
}

// refresh returns once everything is in use that the bucket holds now, so that
// what was changed before an event was published is never missed.
func (v *view) refresh(ctx context.Context) error {
	last, ok, err := v.last(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for {
		v.mu.Lock()
		revision, changed := v.revision, v.changed
		v.mu.Unlock()
		if !ok || revision >= last.Sequence {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s at revision %d of the catalog: %w", v.what, last.Sequence, ctx.Err())
		}
	}
}
