package stream_test

import (
	"fmt"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natsserver"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestReaderGivesEveryMessageOnceInOrderAcrossAServerRestart(t *testing.T) {
	server, broker := install(t)
	js := server.JetStream()
	const total = 3 * 1500 // past the reader's buffer
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := js.Publish(t.Context(), events.LedgerSubject(3, events.WriterUsage), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(0, total/3)
	reader, err := broker.Log(events.StreamLedger).Read(t.Context(), stream.From{}, "ledger.3.*")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	read := func(from, to int) {
		for i := from; i < to; i++ {
			m, err := reader.Next(t.Context())
			if err != nil || string(m.Data) != fmt.Sprint(i) || m.Sequence != uint64(i+1) {
				t.Fatalf("message %d: %q at %d, %v", i, m.Data, m.Sequence, err)
			}
		}
	}
	read(0, total/6)
	server.Restart()
	publish(total/3, total)
	read(total/6, total)
}

func TestReaderTakesMessagesOfEverySize(t *testing.T) {
	server, broker := install(t)
	js := server.JetStream()
	sizes := []int{0, 1, 1 << 20, natsserver.MaxPayload - 100, 3 << 20, natsserver.MaxPayload - 100, natsserver.MaxPayload - 100, 5}
	for _, size := range sizes {
		if _, err := js.Publish(t.Context(), events.LedgerSubject(0, events.WriterUsage), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := broker.Log(events.StreamLedger).Read(t.Context(), stream.From{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for i, size := range sizes {
		if m, err := reader.Next(t.Context()); err != nil || len(m.Data) != size {
			t.Fatalf("message %d: %d bytes, %v; want %d", i, len(m.Data), err, size)
		}
	}
}

// A stream that is made anew while the connection stays stands for a cluster
// whose leader has lost the end of one.
func TestReaderStopsWhenWhatItReadIsGone(t *testing.T) {
	server, broker := install(t)
	log := broker.Log(events.StreamSignals)
	publish := func(n int) {
		for range n {
			if _, err := log.Append(t.Context(), stream.Append{Subject: "credits.low.acme"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(3)
	lost, stop := broker.Interrupted()
	defer stop()
	reader, err := log.Read(t.Context(), stream.From{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for range 3 {
		if _, err := reader.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	js := server.JetStream()
	made, err := js.Stream(t.Context(), events.StreamSignals)
	if err != nil {
		t.Fatal(err)
	}
	config := made.CachedInfo().Config
	if err := js.DeleteStream(t.Context(), events.StreamSignals); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	publish(5)
	select {
	case <-lost:
	case m := <-reader.Messages():
		t.Fatalf("read message %d of a stream that has lost those before it", m.Sequence)
	case <-t.Context().Done():
		t.Fatal("nobody was told")
	}
	if n := len(reader.Messages()); n > 0 {
		t.Errorf("%d messages are delivered behind those that are gone", n)
	}
}

func install(t *testing.T) (*natstest.Server, stream.Broker) {
	t.Helper()
	server := natstest.Run(t)
	if _, err := stream.Ensure(t.Context(), server.JetStream(), stream.Config{}); err != nil {
		t.Fatal(err)
	}
	broker, err := stream.NewBroker(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	return server, broker
}
