package stream_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// silent is a stream whose only message is gone when it is read.
type silent struct{ stream.Log }

func (silent) Name() string { return "SILENT" }

func (silent) State(context.Context) (stream.State, error) {
	return stream.State{Last: 1, Messages: 1}, nil
}

func (silent) Read(context.Context, stream.From, ...string) (*stream.Reader, error) {
	return stream.NewReader(make(chan stream.Message), func() {}), nil
}

func TestWhatVanishesWhileItIsReadIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := func(m stream.Message) error { t.Errorf("message %d of an empty stream", m.Sequence); return nil }
		if err := stream.Newest(t.Context(), silent{}, none); !errors.Is(err, stream.ErrVanished) {
			t.Errorf("read: %v; want %v", err, stream.ErrVanished)
		}
	})
}
