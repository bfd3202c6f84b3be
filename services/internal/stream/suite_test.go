package stream_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/internal/stream/streamsuite"
)

func TestNATSIsABroker(t *testing.T) {
	streamsuite.Run(t, func(t *testing.T, test func(*testing.T, streamsuite.Rig)) {
		server := natstest.Run(t)
		if _, err := stream.Ensure(t.Context(), server.JetStream(), stream.Config{Partitions: streamsuite.Partitions}); err != nil {
			t.Fatal(err)
		}
		nc := server.Connect()
		broker, err := stream.NewBroker(nc)
		if err != nil {
			t.Fatal(err)
		}
		test(t, streamsuite.Rig{
			Broker: broker,
			Cut: func() {
				if err := nc.ForceReconnect(); err != nil {
					t.Fatal(err)
				}
			},
			Subscribe: func(t *testing.T, subject string) <-chan []byte {
				answers := make(chan []byte, 1)
				_, err := nc.Subscribe(subject, func(m *nats.Msg) { answers <- m.Data })
				if err != nil {
					t.Fatal(err)
				}
				return answers
			},
		})
	})
}
