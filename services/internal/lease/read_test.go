package lease_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// vanishing is a bucket whose only key runs out after its state was asked for.
type vanishing struct {
	stream.Log
	readings int
}

func (v *vanishing) Name() string { return lease.Bucket }

func (v *vanishing) State(context.Context) (stream.State, error) {
	if v.readings > 0 {
		return stream.State{Last: 1}, nil
	}
	return stream.State{Last: 1, Messages: 1}, nil
}

func (v *vanishing) Read(context.Context, stream.From, ...string) (*stream.Reader, error) {
	v.readings++
	return stream.NewReader(make(chan stream.Message), func() {}), nil
}

// only is a broker of one log.
type only struct {
	stream.Broker
	log stream.Log
}

func (o only) Log(string) stream.Log { return o.log }

func TestKeysThatRunOutWhileTheyAreReadAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vanishing{}
		s, err := lease.Read(t.Context(), only{log: v})
		if err != nil || len(s.Members)+len(s.Leases) != 0 || v.readings != 1 {
			t.Errorf("after %d readings: %+v, %v; want nobody", v.readings, s, err)
		}
	})
}
