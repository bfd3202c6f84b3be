package stream

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// A request that nothing answers ends after pullExpires. Until then the server
// says every pullHeartbeat that it has it; after two that did not come, nobody
// has it any more.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
)

// Parts of the JetStream API that the client library does not offer bare.
const (
	ackPrefix  = "$JS.ACK."
	apiPullMsg = "$JS.API.CONSUMER.MSG.NEXT."
	apiDelete  = "$JS.API.CONSUMER.DELETE."
)

// sentBesides is room for what the server says besides messages while nobody
// listens: heartbeats until the request expires, and its end.
const sentBesides = 64

// consumer is one on the server, unnamed and without acks. It gives messages
// when asked, each with the next number of its own.
type consumer struct {
	nc           *nats.Conn
	place        string // its stream and name
	inbox        string
	sent         chan *nats.Msg
	subscription *nats.Subscription

	given    uint64 // messages in all
	messages int    // still to come of those asked for
	bytes    int    // likewise; 0 means no bound
	single   bool   // the next message is larger than pullBytes
}

// pullRequest is what a consumer is asked. Durations are nanoseconds.
type pullRequest struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes,omitempty"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// ask asks for the next messages.
func (c *consumer) ask() error {
	request := pullRequest{Batch: pullMessages, MaxBytes: pullBytes, Expires: pullExpires, Heartbeat: pullHeartbeat}
	if c.single {
		request.Batch, request.MaxBytes = 1, 0
	}
	body, err := json.Marshal(request)
	if err != nil {
		panic("a request that is not JSON: " + err.Error())
	}
	c.messages, c.bytes, c.single = request.Batch, request.MaxBytes, false
	return c.nc.PublishRequest(apiPullMsg+c.place, c.inbox, body)
}

// asked reports whether the server still has something to send.
func (c *consumer) asked() bool { return c.messages > 0 }

// next waits for what the server sends; ok is false when nothing will come.
func (c *consumer) next(ctx context.Context, reconnected <-chan nats.Status) (m *nats.Msg, ok bool) {
	select {
	case m := <-c.sent:
		return m, true
	default:
	}
	lost := time.NewTimer(2 * pullHeartbeat)
	defer lost.Stop()
	select {
	case m := <-c.sent:
		return m, true
	case <-reconnected:
	case <-lost.C:
	case <-ctx.Done():
	}
	return nil, false
}

// took counts a message; false means that one before it is missing.
func (c *consumer) took(number uint64, size int) bool {
	if number != c.given+1 {
		return false
	}
	c.given++
	c.messages--
	if c.bytes > 0 {
		if c.bytes -= size; c.bytes <= 0 {
			c.messages = 0
		}
	}
	return true
}

// told hears what the server says of the request; false means that the
// consumer is gone, or may be.
func (c *consumer) told(status, description string) bool {
	switch {
	case status == "100": // a heartbeat
		return true
	case status == "408": // the request has expired
	case status == "409" && strings.HasPrefix(description, "Message Size Exceeds"):
		c.single = c.bytes == pullBytes
	default:
		return false
	}
	c.messages = 0
	return true
}

// close gives the consumer back; the server drops one by itself that does not
// hear of it.
func (c *consumer) close() {
	_ = c.subscription.Unsubscribe()
	_ = c.nc.Publish(apiDelete+c.place, nil)
}
