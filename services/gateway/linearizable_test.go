package gateway_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

const (
	holdClients  = 6
	holdAccounts = 2
	holdIDs      = 24 // of one account
	holdOps      = 50 // of one client
	holdFunds    = 20 // whole credits that an account has
)

// holdInput is what a client asked.
type holdInput struct {
	account, verb string
	id            int
	amount        int64 // whole credits
}

// holdOutput is what it heard; what was not heard is not known.
type holdOutput struct {
	known           bool
	outcome         string // applied, unchanged or the code of a refusal
	available, held int64  // behind it; of a refusal for lack of credits available alone
}

// holdState is one account as the rules have it: whole credits that are left of
// its grant, and its holds.
type holdState struct {
	left  int64
	holds [holdIDs]struct {
		state            events.HoldState
		amount, captured int64
	}
}

func (s holdState) held() (sum int64) {
	for _, h := range s.holds {
		if h.state == events.HoldOpen {
			sum += h.amount
		}
	}
	return sum
}

// decide is what the rules make of a request.
func (s holdState) decide(in holdInput) (string, holdState) {
	h := &s.holds[in.id]
	switch {
	case in.verb == "hold" && h.state == "" && in.amount > s.left-s.held():
		return events.RefusedInsufficient, s
	case in.verb == "hold" && h.state == "":
		h.state, h.amount = events.HoldOpen, in.amount
		return "applied", s
	case in.verb == "hold" && h.amount != in.amount:
		return events.RefusedConflict, s
	case in.verb == "hold":
		return "unchanged", s
	case h.state == "":
		return events.RefusedNotFound, s
	case in.verb == "capture" && h.state == events.HoldCaptured && h.captured == in.amount,
		in.verb == "release" && h.state == events.HoldReleased:
		return "unchanged", s
	case h.state != events.HoldOpen:
		return string(h.state), s
	case in.verb == "release":
		h.state = events.HoldReleased
		return "applied", s
	case in.amount > h.amount:
		return events.RefusedInvalid, s
	}
	h.state, h.captured = events.HoldCaptured, in.amount
	s.left -= in.amount
	return "applied", s
}

// holdModel is an account that decides one request after the other.
var holdModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, holdAccounts)
		for _, op := range history {
			i := int(op.Input.(holdInput).account[1] - '0')
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() any { return holdState{left: holdFunds} },
	Step: func(state, input, output any) (bool, any) {
		outcome, next := state.(holdState).decide(input.(holdInput))
		out := output.(holdOutput)
		switch {
		case !out.known:
			return true, next
		case out.outcome != outcome:
			return false, next
		case outcome == events.RefusedInsufficient:
			return out.available == next.left-next.held(), next
		case outcome == "applied" || outcome == "unchanged":
			return out.available == next.left-next.held() && out.held == next.held(), next
		}
		return true, next
	},
}

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
	var history recorded
	var clients sync.WaitGroup
	working := make(chan struct{})
	for i := range holdClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range holdOps {
				history.ask(w, i, random)
			}
		})
	}
	go func() { clients.Wait(); close(working) }()
	projectors.until(working)
	if history.unheard.Load() == 0 {
		t.Error("every answer was heard: nothing is tried of lost ones")
	}
	result := porcupine.CheckOperationsTimeout(holdModel, history.operations, 2*time.Minute)
	if result == porcupine.Illegal {
		t.Fatalf("no order of the %d requests explains their answers", len(history.operations))
	}
	t.Logf("%d requests, %d answers not heard, %d projectors: %s", len(history.operations), history.unheard.Load(), projectors.count, result)
}

// recorded is a history in the making. Its clock counts calls and answers.
type recorded struct {
	clock, unheard atomic.Int64
	mu             sync.Mutex
	operations     []porcupine.Operation
}

func (r *recorded) ask(w *world, client int, random *rand.Rand) {
	in := holdInput{account: fmt.Sprintf("a%d", random.IntN(holdAccounts)), id: random.IntN(holdIDs)}
	in.verb = []string{"hold", "hold", "capture", "release"}[random.IntN(4)]
	switch in.amount = int64(1 + in.id%7); {
	case in.verb == "capture":
		in.amount = 1 + random.Int64N(in.amount+1)
	case random.IntN(6) == 0:
		in.amount++ // other content
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(15) == 0 { // hang up in the middle
		time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
	}
	call := r.clock.Add(1)
	out := holdOutput{}
	if random.IntN(2) == 0 {
		out = w.askOverHTTP(ctx, in)
	} else {
		out = w.askOverNATS(ctx, in)
	}
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: r.clock.Add(1)}
	if !out.known {
		op.Return = math.MaxInt64
		r.unheard.Add(1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, op)
}

func (w *world) askOverHTTP(ctx context.Context, in holdInput) holdOutput {
	path, asked := fmt.Sprintf("/v1/holds/h%d/%s", in.id, in.verb), fmt.Sprintf(`{"account":%q}`, in.account)
	switch in.verb {
	case "hold":
		path, asked = "/v1/accounts/"+in.account+"/holds", fmt.Sprintf(`{"id":"h%d","amount":"%d","expires_in":"24h"}`, in.id, in.amount)
	case "capture":
		asked = fmt.Sprintf(`{"account":%q,"amount":"%d"}`, in.account, in.amount)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+path, strings.NewReader(asked))
	if err != nil {
		w.t.Error(err)
		return holdOutput{}
	}
	response, err := w.client.Do(request)
	if err != nil {
		return holdOutput{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return holdOutput{}
	}
	return heard(answer{t: w.t, status: response.StatusCode, body: body})
}

func (w *world) askOverNATS(ctx context.Context, in holdInput) holdOutput {
	body := fmt.Sprintf(`{"release":{"hold":"h%d"}}`, in.id)
	switch in.verb {
	case "hold":
		body = fmt.Sprintf(`{"hold":{"id":"h%d","amount":"%d","expires_in":"24h"}}`, in.id, in.amount)
	case "capture":
		body = fmt.Sprintf(`{"capture":{"hold":"h%d","amount":"%d"}}`, in.id, in.amount)
	}
	reply, err := w.nc.RequestWithContext(ctx, events.HoldSubject(in.account), []byte(body))
	if err != nil {
		return holdOutput{}
	}
	return heard(answerOf(w.t, reply))
}

// heard reads an answer; one that says that it is not known what was
// decided was not heard.
func heard(a answer) holdOutput {
	if a.status >= 500 {
		return holdOutput{}
	}
	if a.status < 300 {
		d := decode[gateway.HoldDecision](a)
		return holdOutput{true, string(d.Outcome), int64(d.Balance.Available / events.Credit), int64(d.Balance.Held / events.Credit)}
	}
	p := decode[gateway.Problem](a)
	if p.Insufficiency != nil {
		return holdOutput{true, events.RefusedInsufficient, int64(p.Available / events.Credit), 0}
	}
	return holdOutput{known: true, outcome: p.Errors[0].Code}
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
