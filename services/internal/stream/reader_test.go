package stream_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natsserver"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestReaderGivesEveryMessageOnceInOrderAcrossAServerRestart(t *testing.T) {
	server := natstest.Run(t)
	js := server.JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const total = 3 * 1500 // past the reader's buffer
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := js.Publish(t.Context(), events.LedgerSubject(3, events.WriterUsage), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(0, total/3)
	reader, err := stream.Read(t.Context(), streams.Ledger, 0, "ledger.3.*")
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
	js := natstest.Run(t).JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 1 << 20, natsserver.MaxPayload - 100, 3 << 20, natsserver.MaxPayload - 100, natsserver.MaxPayload - 100, 5}
	for _, size := range sizes {
		if _, err := js.Publish(t.Context(), events.LedgerSubject(0, events.WriterUsage), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := stream.Read(t.Context(), streams.Ledger, 0)
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

func TestReaderStartsWhereItIsTold(t *testing.T) {
	js := natstest.Run(t).JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := js.Publish(t.Context(), events.LedgerSubject(i%2, events.WriterUsage), nil); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := stream.Read(t.Context(), streams.Ledger, 2, "ledger.0.*")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if m, err := reader.Next(t.Context()); err != nil || m.Sequence != 3 || m.Pending != 1 {
		t.Errorf("first message from 2 on: sequence %d, pending %d, %v; want 3, 1", m.Sequence, m.Pending, err)
	}
}

func TestAppendFencedWritesOnlyBehindTheExpectedMessage(t *testing.T) {
	js := natstest.Run(t).JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	subject := events.LedgerSubject(0, events.WriterUsage)
	first, err := stream.AppendFenced(t.Context(), js, nats.NewMsg(subject), subject, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.AppendFenced(t.Context(), js, nats.NewMsg(subject), subject, 0); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("append behind nothing over a message: %v; want ErrFenced", err)
	}
	if _, err := stream.AppendFenced(t.Context(), js, nats.NewMsg(subject), subject, first); err != nil {
		t.Errorf("append behind the last message: %v", err)
	}
	last, ok, err := stream.Last(t.Context(), streams.Ledger, subject)
	if err != nil || !ok || last.Sequence != first+1 {
		t.Errorf("last message: %d, %v, %v; want %d", last.Sequence, ok, err, first+1)
	}
	if _, ok, err := stream.Last(t.Context(), streams.Ledger, "ledger.9.*"); ok || err != nil {
		t.Errorf("last message on an unused subject: %v, %v; want none", ok, err)
	}
}
