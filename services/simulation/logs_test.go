package simulation

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

// logs counts what the services log, by message.
type logs struct {
	mu    sync.Mutex
	count map[string]int
}

var _ slog.Handler = (*logs)(nil)

func (l *logs) logger() *slog.Logger { return slog.New(l) }

// Enabled implements slog.Handler.
func (l *logs) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *logs) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[r.Message]++
	return nil
}

// WithAttrs implements slog.Handler.
func (l *logs) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *logs) WithGroup(string) slog.Handler { return l }

func (l *logs) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.count)
}
