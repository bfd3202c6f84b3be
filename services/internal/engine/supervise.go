package engine

import (
	"context"
	"fmt"
	"time"
)

const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 10 * time.Second
	// An engine that lived this long has recovered: its next death is a new
	// story and is answered fast again.
	pauseReset = 30 * time.Second
)

// firstStart brings up the first child. Ports that were left to choose are
// chosen anew on every attempt, because another process may have taken one in
// between; after that they stay.
func (e *Engine) firstStart(ctx context.Context) (*process, error) {
	wanted := e.cfg
	var failure error
	for attempt := range startAttempts {
		if attempt > 0 && !sleep(ctx, pauseMin<<attempt) {
			break
		}
		var err error
		if e.cfg.HTTPPort, e.cfg.NativePort, err = choosePorts(wanted.HTTPPort, wanted.NativePort); err != nil {
			return nil, err
		}
		if err := e.writeSettings(); err != nil {
			return nil, err
		}
		p, err := e.boot(ctx)
		if err == nil {
			return p, nil
		}
		failure = err
		e.cfg.Logger.Warn("clickhouse engine did not start", "attempt", attempt+1, "err", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("start the clickhouse engine: %w", context.Cause(ctx))
	}
	return nil, fmt.Errorf("start the clickhouse engine, tried %d times: %w", startAttempts, failure)
}

// supervise owns the child from p on: it replaces every dead one, and stops the
// last when ctx ends.
func (e *Engine) supervise(ctx context.Context, p *process) {
	defer close(e.done)
	defer func() {
		if err := e.release(); err != nil {
			e.cfg.Logger.Error("release the clickhouse engine's folder", "err", err)
		}
	}()
	pause := pauseMin
	for p != nil {
		since := time.Now()
		select {
		case <-p.exited:
			e.setDown()
			e.cfg.Logger.Warn("clickhouse engine died", "pid", p.pid(), "err", p.err, "log", e.path(fileErrorLog))
		case <-ctx.Done():
			e.setDown()
			p.stop()
			e.cfg.Logger.Info("clickhouse engine stopped", "pid", p.pid())
			return
		}
		if time.Since(since) > pauseReset {
			pause = pauseMin
		}
		p, pause = e.revive(ctx, pause)
	}
}

// revive starts a child after a pause, again and again until one answers, and
// returns it with the pause that the next death deserves. The child is nil when
// ctx ended.
func (e *Engine) revive(ctx context.Context, pause time.Duration) (*process, time.Duration) {
	for sleep(ctx, pause) {
		pause = min(2*pause, pauseMax)
		p, err := e.boot(ctx)
		if err == nil {
			e.setReady(p)
			return p, pause
		}
		if ctx.Err() == nil {
			e.cfg.Logger.Warn("clickhouse engine did not restart", "next_try_in", pause, "err", err)
		}
	}
	return nil, pause
}
