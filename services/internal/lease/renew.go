package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// renew keeps our own key and our leases alive and returns how long to wait
// until the next time.
func (k *keeper) renew(ctx context.Context) (time.Duration, error) {
	shown := k.view.members[k.Instance].sequence == k.member
	bounded, cancel := context.WithTimeout(ctx, k.every())
	defer cancel()
	began := time.Now()
	switch err := k.stand(bounded); {
	case errors.Is(err, ErrSuperseded):
		return 0, err
	case err != nil:
		if ctx.Err() == nil {
			k.Logger.Warn("leases not renewed", "err", err)
			k.create(ctx)
		}
		return retryDelay, nil
	}
	k.checkWatch(ctx, shown) // behind our own key, which tells whether the bucket lost its keys
	if !k.renewLeases(ctx) {
		return retryDelay, nil
	}
	return max(0, k.every()-time.Since(began)), nil
}

// create makes the bucket if it is missing.
func (k *keeper) create(ctx context.Context) {
	if k.Create == nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, k.every())
	defer cancel()
	if err := k.Create(bounded); err != nil && ctx.Err() == nil {
		k.Logger.Debug("bucket of leases not made", "err", err)
	}
}

// stand writes our own key. A key that is another process's ends the share.
func (k *keeper) stand(ctx context.Context) error {
	key := memberKey(k.Service, k.Instance)
	fence, known := k.member, k.member > 0
	for range 3 {
		if known {
			sequence, err := k.log.Append(ctx, put(key, fence, k.self, k.TTL))
			if err == nil {
				k.member = sequence
			}
			if !errors.Is(err, stream.ErrFenced) {
				return err
			}
		}
		e, ok, err := k.last(ctx, key)
		switch {
		case err != nil:
			return err
		case k.member == 0: // our first: what stands there is of a process before
		case !ok: // not even a marker: the bucket has lost its keys
			k.frozen = time.Now().Add(k.TTL)
		case e.value.Instance != "" && e.value.Run != k.self.Run:
			return fmt.Errorf("%w: %s, since %s; give each process a DRAWDOWN_STATE_DIR of its own",
				ErrSuperseded, k.Instance, e.value.Since.Format(time.RFC3339))
		}
		fence, known = e.sequence, true
	}
	return fmt.Errorf("key %s keeps changing", key)
}

// renewLeases renews the leases of what is worked on, all at once, and reports
// whether all were answered.
func (k *keeper) renewLeases(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, k.every())
	defer cancel()
	sent := time.Now()
	var partitions []int
	var appends []stream.Append
	for p := range k.slots {
		if k.keeps(p) {
			partitions = append(partitions, p)
			appends = append(appends, k.renewal(p, k.slots[p].sequence))
		}
	}
	if len(appends) == 0 {
		return true
	}
	all := true
	for i, result := range k.log.AppendAll(bounded, appends) {
		p := partitions[i]
		err := result.Err
		if errors.Is(err, stream.ErrFenced) {
			result.Sequence, err = k.again(bounded, p)
		}
		switch {
		case err == nil:
			k.renewed(p, result.Sequence, sent)
		case errors.Is(err, stream.ErrFenced):
			k.Logger.Warn("lease lost", "partition", p)
			k.slots[p].tellToEnd(lost)
		default: // the clock decides whether there is a next time
			all = false
		}
	}
	return all
}

// keeps reports whether a lease is to be renewed.
func (k *keeper) keeps(p int) bool {
	s := &k.slots[p]
	switch {
	case s.phase == working && s.ctx.Err() != nil: // it ran out by our clock
		k.Logger.Warn("lease ran out", "partition", p)
		s.phase = lost
	case s.phase == leaving && time.Now().After(s.until):
		k.Logger.Error("work does not end; its partition is left to others", "partition", p)
		s.phase = lost
	}
	return s.phase == working || s.phase == leaving
}

func (k *keeper) renewal(p int, fence uint64) stream.Append {
	s := &k.slots[p]
	value := Lease{Member: k.self, Report: s.held.Last()}
	value.Since = s.since
	return put(Key(k.Service, p), fence, value, k.TTL)
}

// again renews a lease that does not stand where we believed: an append whose
// answer was lost has moved it, or the bucket lost it. ErrFenced says that it is
// another's.
func (k *keeper) again(ctx context.Context, p int) (uint64, error) {
	e, _, err := k.last(ctx, Key(k.Service, p))
	if err != nil {
		return 0, err
	}
	if e.value.Instance != "" && e.value.Run != k.self.Run {
		k.view.set(e)
		return 0, stream.ErrFenced
	}
	return k.log.Append(ctx, k.renewal(p, e.sequence))
}

// last reads a key; ok is false when the bucket does not even say that it ended.
func (k *keeper) last(ctx context.Context, key string) (e entry, ok bool, err error) {
	m, ok, err := k.log.Last(ctx, key)
	if err == nil && ok {
		e, _ = parse(m)
	}
	return e, ok, err
}
