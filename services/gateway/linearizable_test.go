package gateway_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/holdcheck"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

const (
	holdClients  = 6
	holdAccounts = 2
	holdOps      = 50 // of one client
	holdFunds    = 20 // whole credits that an account has
)

// TestHoldsAreLinearizable has clients place, capture and release holds at once,
// over HTTP and over NATS, while the projector is restarted and its partitions
// change hands. What they heard must be explained by an account that decides one
// request after the other, each between its call and its answer; a request whose
// answer was not heard may have been decided at any time after it, or never.
func TestHoldsAreLinearizable(t *testing.T) {
	t.Parallel()
	w := start(t)
	projectors := &relay{w: w}
	projectors.next()
	for i := range holdAccounts {
		w.call("POST", fmt.Sprintf("/v1/accounts/a%d/grants", i), fmt.Sprintf(`{"id":"g","amount":"%d"}`, holdFunds)).want(201)
	}
	history := &holdcheck.History{Funds: holdFunds}
	var clients sync.WaitGroup
	working := make(chan struct{})
	for i := range holdClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range holdOps {
				w.askOfHolds(history, i, random)
			}
		})
	}
	go func() { clients.Wait(); close(working) }()
	projectors.until(working)
	requests, unheard := history.Len()
	if unheard == 0 {
		t.Error("every answer was heard: nothing is tried of lost ones")
	}
	illegal, undecided := history.Check(2 * time.Minute)
	if len(illegal) > 0 {
		t.Fatalf("no order of the %d requests explains the answers to %v", requests, illegal)
	}
	t.Logf("%d requests, %d answers not heard, %d projectors; not decided: %v", requests, unheard, projectors.count, undecided)
}

// askOfHolds asks something at random, and now and then does not wait for the
// answer.
func (w *world) askOfHolds(history *holdcheck.History, client int, random *rand.Rand) {
	r := holdcheck.Request{Account: fmt.Sprintf("a%d", random.IntN(holdAccounts)), Hold: random.IntN(holdcheck.IDs)}
	r.Verb = []holdcheck.Verb{holdcheck.Place, holdcheck.Place, holdcheck.Capture, holdcheck.Release}[random.IntN(4)]
	switch r.Amount = int64(1 + r.Hold%7); {
	case r.Verb == holdcheck.Capture:
		r.Amount = 1 + random.Int64N(r.Amount+1)
	case random.IntN(6) == 0:
		r.Amount++ // other content
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(15) == 0 { // hang up in the middle
		time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
	}
	ask := w.askOverNATS
	if random.IntN(2) == 0 {
		ask = w.askOverHTTP
	}
	history.Ask(client, r, func() holdcheck.Answer { return ask(ctx, r) })
}

func (w *world) askOverHTTP(ctx context.Context, in holdcheck.Request) holdcheck.Answer {
	path, asked := fmt.Sprintf("/v1/holds/h%d/%s", in.Hold, in.Verb), fmt.Sprintf(`{"account":%q}`, in.Account)
	switch in.Verb {
	case holdcheck.Place:
		path, asked = "/v1/accounts/"+in.Account+"/holds", fmt.Sprintf(`{"id":"h%d","amount":"%d","expires_in":"24h"}`, in.Hold, in.Amount)
	case holdcheck.Capture:
		asked = fmt.Sprintf(`{"account":%q,"amount":"%d"}`, in.Account, in.Amount)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+path, strings.NewReader(asked))
	if err != nil {
		w.t.Error(err)
		return holdcheck.Answer{}
	}
	response, err := w.client.Do(request)
	if err != nil {
		return holdcheck.Answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return holdcheck.Answer{}
	}
	return heard(answer{t: w.t, status: response.StatusCode, body: body})
}

func (w *world) askOverNATS(ctx context.Context, in holdcheck.Request) holdcheck.Answer {
	body := fmt.Sprintf(`{"release":{"hold":"h%d"}}`, in.Hold)
	switch in.Verb {
	case holdcheck.Place:
		body = fmt.Sprintf(`{"hold":{"id":"h%d","amount":"%d","expires_in":"24h"}}`, in.Hold, in.Amount)
	case holdcheck.Capture:
		body = fmt.Sprintf(`{"capture":{"hold":"h%d","amount":"%d"}}`, in.Hold, in.Amount)
	}
	reply, err := w.nc.RequestWithContext(ctx, events.HoldSubject(in.Account), []byte(body))
	if err != nil {
		return holdcheck.Answer{}
	}
	return heard(answerOf(w.t, reply))
}

// heard reads an answer; one that says that it is not known what was
// decided was not heard.
func heard(a answer) holdcheck.Answer {
	if a.status >= 500 {
		return holdcheck.Answer{}
	}
	if a.status < 300 {
		d := decode[gateway.HoldDecision](a)
		return holdcheck.Answer{Known: true, Outcome: string(d.Outcome), Available: int64(d.Balance.Available / events.Credit), Held: int64(d.Balance.Held / events.Credit)}
	}
	p := decode[gateway.Problem](a)
	if p.Insufficiency != nil {
		return holdcheck.Answer{Known: true, Outcome: events.RefusedInsufficient, Available: int64(p.Available / events.Credit)}
	}
	return holdcheck.Answer{Known: true, Outcome: p.Errors[0].Code}
}

// relay runs one projector after the other: every other time the next one starts
// before the one before has left, and both hold the partitions for a moment.
type relay struct {
	w     *world
	stop  func()
	count int
}

func (r *relay) until(done <-chan struct{}) {
	for {
		select {
		case <-done:
			r.stop()
			return
		default:
		}
		before := r.stop
		if r.count%2 == 0 {
			before()
			r.next()
		} else {
			r.next()
			before()
		}
	}
}

// next starts a projector and waits until it is ready.
func (r *relay) next() {
	r.w.t.Helper()
	broker, err := stream.NewBroker(r.w.nc)
	r.w.ok(err)
	p, err := balances.New(balances.Config{Broker: broker, Partitions: r.w.streams.Partitions})
	r.w.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.w.t.Errorf("project balances: %v", err)
		}
	})
	r.w.t.Cleanup(stop)
	r.stop = stop
	r.count++
	r.w.until("the projector is ready", p.Ready)
}
