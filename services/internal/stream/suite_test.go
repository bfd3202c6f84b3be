package stream_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
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

func TestTheLeaderOfABucketIsAsked(t *testing.T) {
	server, broker := install(t)
	nc := server.Connect()
	const direct, end = "$JS.API.DIRECT.GET.", "$JS.API.DIRECT.GET.NOWHERE"
	asked, err := nc.SubscribeSync(direct + ">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{events.BucketBalances, events.BucketCatalog, events.BucketLeases, events.BucketProjections} {
		log, key := broker.Log("KV_"+bucket), "$KV."+bucket+".acme"
		if _, ok, err := log.Last(t.Context(), key); ok || err != nil {
			t.Errorf("a key that is not in %s: %v, %v", bucket, ok, err)
		}
		sequence, err := log.Append(t.Context(), stream.Append{Subject: key})
		if err != nil {
			t.Fatal(err)
		}
		if m, ok, err := log.Last(t.Context(), key); !ok || err != nil || m.Sequence != sequence {
			t.Errorf("the newest message of %s: %d, %v, %v; want %d", bucket, m.Sequence, ok, err, sequence)
		}
		if _, ok, err := log.Get(t.Context(), sequence); !ok || err != nil {
			t.Errorf("message %d of %s: %v, %v", sequence, bucket, ok, err)
		}
	}
	if err := nc.Publish(end, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := asked.NextMsgWithContext(t.Context()); err != nil || m.Subject != end {
		t.Errorf("any replica was asked: %+v, %v", m, err)
	}
}
