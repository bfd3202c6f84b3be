package main

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestAnAppendDuringAnOutageIsNotSentAfterIt(t *testing.T) {
	server := natstest.Run(t)
	a := &app{cfg: &config.Config{}}
	w, err := a.enter(t.Context(), server.URL(), "test", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.nc.Close()
	lost, back := w.nc.StatusChanged(nats.RECONNECTING), w.nc.StatusChanged(nats.CONNECTED)
	server.Close()
	<-lost
	given, stop := context.WithCancel(t.Context())
	appended := make(chan error, 1)
	log := w.broker.Log(events.StreamSignals)
	go func() {
		_, err := log.Append(given, stream.Append{Subject: "credits.low.acme"})
		appended <- err
	}()
	if err := <-appended; err == nil {
		t.Error("an append without a server has succeeded")
	}
	stop()
	server.Start()
	<-back
	if _, err := log.Append(t.Context(), stream.Append{Subject: "credits.low.later"}); err != nil {
		t.Fatal(err)
	}
	if m, _, err := log.Last(t.Context(), "credits.low.acme"); err != nil || m.Sequence != 0 {
		t.Errorf("it is stored at %d, %v", m.Sequence, err)
	}
}
