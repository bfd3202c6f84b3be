package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
)

// inbox hears the fold's decisions for all requests on one subscription. Each
// request has a token, the last part of its reply subject.
type inbox struct {
	prefix       string
	subscription *nats.Subscription

	mu      sync.Mutex
	next    uint64
	waiting map[string]chan events.Decision
}

func newInbox(nc *nats.Conn) (*inbox, error) {
	in := &inbox{prefix: nc.NewInbox() + ".", waiting: map[string]chan events.Decision{}}
	var err error
	if in.subscription, err = nc.Subscribe(in.prefix+"*", in.hear); err != nil {
		return nil, fmt.Errorf("subscribe the inbox for decisions: %w", err)
	}
	return in, nil
}

// expect returns a fresh reply subject and where its decision will arrive.
// Forget it when done.
func (in *inbox) expect() (subject string, decision <-chan events.Decision) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.next++
	token := strconv.FormatUint(in.next, 36)
	heard := make(chan events.Decision, 1)
	in.waiting[token] = heard
	return in.prefix + token, heard
}

func (in *inbox) forget(subject string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.waiting, strings.TrimPrefix(subject, in.prefix))
}

// hear hands a decision on. One that nobody waits for any more, a second one
// and one that cannot be read are dropped: the ledger keeps the command.
func (in *inbox) hear(m *nats.Msg) {
	var d events.Decision
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if heard, ok := in.waiting[strings.TrimPrefix(m.Subject, in.prefix)]; ok {
		select {
		case heard <- d:
		default:
		}
	}
}

func (in *inbox) close() error {
	if err := in.subscription.Unsubscribe(); err != nil {
		return fmt.Errorf("unsubscribe the inbox for decisions: %w", err)
	}
	return nil
}
