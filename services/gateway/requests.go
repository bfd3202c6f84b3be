package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	// requestsMax bounds the requests over NATS that are answered at once;
	// more wait in the subscription.
	requestsMax = 1024
	// requestQueue is the queue group of gateways: each request is answered by
	// one of them.
	requestQueue = "drawdown-gateway"
	// routeHolds stands in metrics for requests on events.HoldSubject.
	routeHolds = "NATS drawdown.holds.{account}"
)

// requests answers over NATS what the HTTP calls about holds answer, for
// callers that cannot wait for HTTP. Who may ask is for NATS to say.
type requests struct {
	gateway      *Gateway
	subscription *nats.Subscription
	slots        chan struct{}
	ctx          context.Context // ends when the gateway is closed
	cancel       context.CancelFunc
	underWay     sync.WaitGroup
}

func newRequests(g *Gateway) (*requests, error) {
	r := &requests{gateway: g, slots: make(chan struct{}, requestsMax)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	var err error
	if r.subscription, err = g.NATS.QueueSubscribe(events.HoldSubject("*"), requestQueue, r.hear); err != nil {
		return nil, fmt.Errorf("subscribe requests about holds: %w", err)
	}
	return r, nil
}

// hear answers one request beside the others. One that names no reply subject
// is left alone: nobody would learn what became of it.
func (r *requests) hear(m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return
	}
	r.underWay.Go(func() {
		defer func() { <-r.slots }()
		began := r.gateway.Now()
		answer := r.answer(m)
		r.gateway.metrics.answered(routeHolds, answer.status, r.gateway.Now().Sub(began))
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(events.HeaderStatus, strconv.Itoa(answer.status))
		reply.Data = answer.body
		if err := r.gateway.NATS.PublishMsg(reply); err != nil {
			r.gateway.Logger.Warn("request not answered", "subject", m.Subject, "err", err)
		}
	})
}

// answered is a status of HTTP, and the body that goes with it.
type answered struct {
	status int
	body   []byte
}

func (r *requests) answer(m *nats.Msg) answered {
	out, err := r.change(m)
	if err == nil {
		var body []byte
		if body, err = json.Marshal(out.Body); err == nil {
			return answered{out.Status, body}
		}
	}
	p := r.gateway.problemOf(r.ctx, routeHolds, err)
	body, _ := json.Marshal(p) // of strings and numbers
	return answered{p.Status, body}
}

func (r *requests) change(m *nats.Msg) (*holdOutput, error) {
	request, err := decodeJSON[events.HoldRequest]("", m.Data)
	if err != nil {
		return nil, err
	}
	return r.gateway.changeHold(r.ctx, strings.TrimPrefix(m.Subject, events.HoldSubject("")), request)
}

// close answers what is under way, and nothing else.
func (r *requests) close() error {
	err := r.subscription.Unsubscribe()
	r.cancel()
	r.underWay.Wait()
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("unsubscribe requests about holds: %w", err)
	}
	return nil
}
