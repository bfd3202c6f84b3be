package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// together bounds the commands of a client that are under way.
const together = 8

// Payer does what a payment system does: it hears which accounts request top-ups,
// and grants most of them, declines some, and lets some wait until they time out.
type Payer struct {
	Plan      Plan
	Events    int // after which it ends
	Gate      *Gate
	JetStream jetstream.JetStream
	Commander
}

// Run answers requests until the events are sent.
func (p *Payer) Run(ctx context.Context) error {
	random := rand.New(rand.NewPCG(p.Plan.Seed, 3000))
	return follow(ctx, p.Gate, p.Events, p.JetStream, "SIGNALS", "credits.topup_requested.*", func(body []byte) []func() {
		var s struct {
			Data struct {
				Account string `json:"account"`
				TopUp   struct {
					ID     string `json:"id"`
					Amount string `json:"amount"`
				} `json:"top_up"`
			} `json:"data"`
		}
		if json.Unmarshal(body, &s) != nil || s.Data.TopUp.ID == "" {
			return nil // the oracle will say so
		}
		account, id := s.Data.Account, s.Data.TopUp.ID
		switch n := random.IntN(10); {
		case n < 6:
			return []func(){func() { p.pay(ctx, account, id, micro(s.Data.TopUp.Amount)) }}
		case n < 8:
			return []func(){func() { p.decline(ctx, account, id) }}
		}
		return nil
	})
}

func (p *Payer) pay(ctx context.Context, account, id string, amount int64) {
	grant := journal.Grant{Account: account, ID: "paid:" + id, Amount: amount, Priority: 100}
	p.Journal.Write(grant)
	p.insist(ctx, journal.Answer{Kind: "grant", Account: account, ID: grant.ID}, http.MethodPost, "/v1/accounts/"+account+"/grants",
		map[string]any{"id": grant.ID, "amount": credits(amount), "top_up": id})
}

func (p *Payer) decline(ctx context.Context, account, id string) {
	p.Journal.Write(journal.Command{Kind: "decline", Account: account, ID: id})
	p.insist(ctx, journal.Answer{Kind: "decline", Account: account, ID: id},
		http.MethodPost, "/v1/accounts/"+account+"/topups/"+id+"/decline", map[string]any{"reason": "chaos"})
}

// Corrector voids and amends events that the ledger has charged.
type Corrector struct {
	Plan      Plan
	Commands  int
	Events    int // over which they are spread
	Gate      *Gate
	JetStream jetstream.JetStream
	Commander
}

// Run corrects an event in so many.
func (c *Corrector) Run(ctx context.Context) error {
	random := rand.New(rand.NewPCG(c.Plan.Seed, 4000))
	left := c.Commands
	return follow(ctx, c.Gate, c.Events, c.JetStream, "LEDGER", "ledger.*.usage", func(body []byte) (do []func()) {
		var chunk struct {
			Entries []struct {
				Account string `json:"account"`
				Debit   *struct {
					Source string `json:"source"`
					ID     string `json:"id"`
				} `json:"debit"`
			} `json:"entries"`
		}
		if json.Unmarshal(body, &chunk) != nil {
			return nil
		}
		for _, e := range chunk.Entries {
			if left <= 0 || e.Debit == nil || random.IntN(max(c.Events/c.Commands, 1)) > 0 {
				continue
			}
			producer, err := strconv.Atoi(strings.TrimPrefix(e.Debit.Source, "/chaos/"))
			number, failed := strconv.Atoi(e.Debit.ID)
			if err != nil || failed != nil {
				continue
			}
			all := corrections(random, journal.Correction{ID: journal.ID{Producer: producer, Number: number}, Account: e.Account})
			left -= len(all)
			do = append(do, func() {
				for _, one := range all {
					c.correct(ctx, one)
				}
			})
		}
		return do
	})
}

// corrections makes up one or two corrections of an event, one after the other.
func corrections(random *rand.Rand, of journal.Correction) (all []journal.Correction) {
	for range 1 + random.IntN(2) {
		one := of
		switch n := random.IntN(10); {
		case n < 4 && len(all) == 0:
		case n < 7:
			one.Operation, one.A = Odd, random.Int64N(9_000_000)
		default:
			one.Operation, one.A, one.B = Chat, random.Int64N(3000), random.Int64N(1000)
		}
		all = append(all, one)
	}
	return all
}

func (c *Corrector) correct(ctx context.Context, one journal.Correction) {
	c.Journal.Write(one)
	content := map[string]any{"source": source(one.Producer), "id": strconv.Itoa(one.Number), "account": one.Account, "reason": "chaos"}
	path := "/v1/void"
	if one.Operation != "" {
		path = "/v1/amend"
		content["data"] = json.RawMessage(dataOf(nil, journal.Event{ID: one.ID, Account: one.Account, Operation: one.Operation, Status: 200, A: one.A, B: one.B}))
	}
	c.insist(ctx, journal.Answer{Kind: "correction", Account: one.Account, ID: fmt.Sprintf("%d/%d", one.Producer, one.Number)}, http.MethodPost, path, content)
}

// follow reads what some subjects of a stream hold, and does what take makes of
// each message, a few things at once, until so many events are sent.
func follow(ctx context.Context, gate *Gate, events int, js jetstream.JetStream, stream, subjects string, take func(body []byte) []func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = gate.Reach(ctx, events) // or ctx has ended
		stop()
	}()
	defer func() { <-ended }()
	var running sync.WaitGroup
	defer running.Wait()
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subjects}})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", stream, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read stream %s: %w", stream, err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	window := make(chan struct{}, together)
	for ctx.Err() == nil {
		m, err := messages.Next()
		if err != nil {
			Pause(ctx, retryDelay) // NATS is away, or everything is over
			continue
		}
		for _, do := range take(m.Data()) {
			window <- struct{}{}
			running.Go(func() {
				defer func() { <-window }()
				do()
			})
		}
	}
	return nil
}
