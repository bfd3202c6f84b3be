package simulated_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream/streamsuite"
)

func TestTheSimulatedBrokerIsABroker(t *testing.T) {
	streamsuite.Run(t, func(t *testing.T, test func(*testing.T, streamsuite.Rig)) {
		synctest.Test(t, func(t *testing.T) {
			server := simulated.NewServer()
			server.Install(streamsuite.Partitions)
			network := simulated.NewNetwork(server)
			client := network.Connect("suite")
			ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
			var serving sync.WaitGroup
			serving.Go(func() { network.Serve(ctx) })
			t.Cleanup(func() { stop(); serving.Wait() })
			test(t, streamsuite.Rig{
				Broker: client,
				Cut:    client.Interrupt,
				Subscribe: func(_ *testing.T, subject string) <-chan []byte {
					return network.Subscribe(subject)
				},
			})
		})
	})
}
