// Package trim takes usage out of stream USAGE that is old and settled, so that
// a budget for the stream is one for what is still to be rated. The ledger holds
// every charged event whole, DEADLETTER every other one.
//
// It never removes a message that some event of is not settled, whatever its
// age, nor one younger than it is told to keep. Two that trim at once are
// harmless.
package trim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Every is how often Run looks.
const Every = time.Minute

// Config says what to trim. Everything but Logger is required.
type Config struct {
	Broker     stream.Broker
	JetStream  jetstream.JetStream // purges
	Partitions int
	Keep       time.Duration // since a message was stored, by the server's clock
	Logger     *slog.Logger  // default discards
}

// Run trims every minute until ctx ends.
func Run(ctx context.Context, c Config) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for ctx.Err() == nil {
		removed, err := Once(ctx, c)
		switch {
		case err != nil && ctx.Err() == nil:
			c.Logger.Warn("old usage is trimmed later", "err", err)
		case removed > 0:
			c.Logger.Info("old usage was trimmed", "messages", removed)
		}
		_ = pause.For(ctx, Every) // the loop looks at ctx
	}
}

// Once trims now and returns how many messages it removed.
func Once(ctx context.Context, c Config) (removed uint64, err error) {
	usage := c.Broker.Log(events.StreamUsage)
	state, err := usage.State(ctx)
	if err != nil || state.Messages == 0 {
		return 0, err
	}
	keep, err := firstYounger(ctx, usage, state, c.Keep)
	if err != nil {
		return 0, err
	}
	for p := range c.Partitions {
		needed, err := firstNeeded(ctx, c.Broker, p, c.Partitions)
		if err != nil {
			return 0, err
		}
		if needed > 0 {
			keep = min(keep, needed)
		}
	}
	if keep <= state.First {
		return 0, nil
	}
	return purge(ctx, c.JetStream, state, keep)
}

// firstYounger finds the first message that is younger than an age.
func firstYounger(ctx context.Context, usage stream.Log, state stream.State, age time.Duration) (uint64, error) {
	since := state.Now.Add(-age)
	if state.LastAt.Before(since) {
		return state.Last + 1, nil
	}
	reader, err := usage.Read(ctx, stream.From{Since: since})
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	first, err := reader.Next(ctx)
	return first.Sequence, err
}

// firstNeeded is the first message of a partition that may hold an event which
// is not settled; 0 when all are.
func firstNeeded(ctx context.Context, broker stream.Broker, partition, partitions int) (uint64, error) {
	through, err := settledThrough(ctx, broker, partition)
	if err != nil {
		return 0, err
	}
	// A stream that lost its end gives its sequences out again: what stands behind
	// an event that is gone is not settled, whatever its sequence.
	if err := (stream.Mark{Sequence: through.Sequence, StoredAt: through.StoredAt}).Verify(ctx, broker.Log(events.StreamUsage)); err != nil {
		return 0, err
	}
	newest, err := newest(ctx, broker, partition)
	switch {
	case err != nil:
		return 0, err
	case newest.Sequence < through.Sequence || newest.Sequence == 0:
		return 0, nil
	case newest.Sequence > through.Sequence:
		return max(through.Sequence, 1), nil // some of the message at through may be unsettled
	}
	if items := events.DecodeMessage(newest.Subject, newest.Header, newest.Data, partitions); through.Index+1 < len(items) {
		return newest.Sequence, nil
	}
	return 0, nil
}

// settledThrough is the last event of a partition that its ledger settles.
func settledThrough(ctx context.Context, broker stream.Broker, partition int) (events.Position, error) {
	subject := events.LedgerSubject(partition, events.WriterUsage)
	last, ok, err := broker.Log(events.StreamLedger).Last(ctx, subject)
	if err != nil || !ok {
		return events.Position{}, err
	}
	chunk, err := events.DecodeChunk(last.Data)
	if err != nil {
		return events.Position{}, fmt.Errorf("read how far partition %d is rated from ledger message %d: %w", partition, last.Sequence, err)
	}
	if chunk.Span == nil {
		return events.Position{}, fmt.Errorf("read how far partition %d is rated: ledger message %d has no span: %w", partition, last.Sequence, events.ErrInvalid)
	}
	return chunk.Span.Through, nil
}

// newest is the newest usage message of a partition; none has sequence 0.
func newest(ctx context.Context, broker stream.Broker, partition int) (stream.Message, error) {
	var newest stream.Message
	for _, subject := range []string{events.StoredUsageSubject(partition, "*"), events.BatchSubject(partition)} {
		m, _, err := broker.Log(events.StreamUsage).Last(ctx, subject)
		if err != nil {
			return stream.Message{}, err
		}
		if m.Sequence > newest.Sequence {
			newest = m
		}
	}
	return newest, nil
}

// purge removes everything before the message at sequence keep.
func purge(ctx context.Context, js jetstream.JetStream, before stream.State, keep uint64) (removed uint64, err error) {
	usage, err := js.Stream(ctx, events.StreamUsage)
	if err != nil {
		return 0, fmt.Errorf("open stream %s: %w", events.StreamUsage, err)
	}
	if err := usage.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
		return 0, fmt.Errorf("trim stream %s before %d: %w", events.StreamUsage, keep, err)
	}
	return min(keep-before.First, before.Messages), nil
}
