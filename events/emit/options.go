package emit

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// Options configure an Emitter. The zero value of a field means its default.
type Options struct {
	// Partitions is the installation's number of partitions. By default it is
	// read from the USAGE stream's metadata, or from a spool that remembers it.
	Partitions int
	// MaxPending bounds the events whose outcome is not known yet, 65536 by
	// default, and MaxPendingBytes their encoded size, 64 MiB by default. At
	// either bound Emit waits.
	MaxPending      int
	MaxPendingBytes int
	// MaxBatchEvents and MaxBatchBytes bound one message: by default 500
	// events and 256 KiB; at most events.MaxBatchEvents and MaxBatchBytes.
	MaxBatchEvents int
	MaxBatchBytes  int
	// InFlight is how many messages of one partition may await their
	// acknowledgement, 2 by default.
	InFlight int
	// Timeout is how long an event is tried for, 30 s by default, unless the
	// context of Emit has an earlier deadline.
	Timeout time.Duration
	// AckTimeout is how long a message's acknowledgement is awaited before it
	// is published again or spooled, 5 s by default.
	AckTimeout time.Duration
	// Spool keeps events on this machine's disk while they cannot be stored.
	Spool Spool
	// Log hears what happens to the spool, slog.Default() by default. Nothing
	// is logged per event.
	Log *slog.Logger
}

// Spool configures where an Emitter keeps events that cannot be stored yet. The
// zero value is no spool.
type Spool struct {
	// Dir is a folder on a local disk that no other process uses. It is created
	// when it is missing; empty means no spool.
	Dir string
	// MaxBytes bounds the events in it, 1 GiB by default, at least 4 MiB. An
	// event takes 32 bytes more than its JSON.
	MaxBytes int64
	// Horizon is the installation's dedup horizon (DRAWDOWN_DEDUP_HORIZON), 72 h
	// by default. Events delivered when they are older than that are sent all
	// the same, counted in Stats and logged: the rater keeps them as dead
	// letters, too late to be charged.
	Horizon time.Duration
}

const (
	spoolBytes   = 1 << 30
	spoolHorizon = 72 * time.Hour
)

// defaults fills in and bounds o.
func (o *Options) defaults() error {
	for _, field := range []struct {
		name           string
		value          *int
		otherwise, max int
	}{
		{"MaxPending", &o.MaxPending, 1 << 16, 1 << 30},
		{"MaxPendingBytes", &o.MaxPendingBytes, 64 << 20, 1 << 40},
		{"MaxBatchEvents", &o.MaxBatchEvents, 500, events.MaxBatchEvents},
		{"MaxBatchBytes", &o.MaxBatchBytes, 256 << 10, events.MaxBatchBytes},
		{"InFlight", &o.InFlight, 2, 1 << 10},
	} {
		if *field.value == 0 {
			*field.value = field.otherwise
		}
		if *field.value < 1 || *field.value > field.max {
			return fmt.Errorf("%s is %d, expected 1 to %d: %w", field.name, *field.value, field.max, events.ErrInvalid)
		}
	}
	o.MaxPendingBytes = max(o.MaxPendingBytes, events.MaxEventBytes) // one event always fits
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 5 * time.Second
	}
	if o.Timeout < 0 || o.AckTimeout < 0 || o.Partitions < 0 {
		return fmt.Errorf("a timeout or the number of partitions is negative: %w", events.ErrInvalid)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o.Spool.defaults()
}

func (s *Spool) defaults() error {
	if s.Dir == "" {
		return nil
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = spoolBytes
	}
	if s.Horizon == 0 {
		s.Horizon = spoolHorizon
	}
	if s.MaxBytes < spool.MinBytes || s.Horizon < 0 {
		return fmt.Errorf("a spool of %d bytes with a horizon of %v: expected at least %d bytes and no negative horizon: %w",
			s.MaxBytes, s.Horizon, spool.MinBytes, events.ErrInvalid)
	}
	return nil
}
