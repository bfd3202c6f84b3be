package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
	"github.com/drawdown-credits/drawdown/services/internal/holdcheck"
)

const (
	// Holders is how many clients there are that place holds.
	Holders = 6
	// HoldFunds is what each account has whose holds are checked, whole credits.
	HoldFunds = 20
	// Bounds of the requests about one of these accounts, and of those whose
	// answers are lost: more would make the check of them slow.
	holdsChecked   = 60
	unheardChecked = 3
	holdTimeout    = 5 * time.Second
	recentHolds    = 20 // of a client, that it captures and releases
)

// Holder is a client that places, captures and releases holds, one after the
// other, over HTTP or, if it has a connection, over NATS. One request in two is
// about an account that nobody but holders use, whose history is recorded; what
// the others bring about is for the oracle. It does not ask again when it hears
// nothing.
type Holder struct {
	Number   int
	Plan     Plan
	Commands int
	Events   int // over which the commands are spread
	Gate     *Gate
	NATS     *nats.Conn // nil: over HTTP
	Arena    *Arena     // of all holders
	Commander

	random *rand.Rand
	recent []asked
}

// asked is a request about a hold.
type asked struct {
	verb        holdcheck.Verb
	account, id string
	amount      int64 // micro-credits
	placed      map[string]any
}

// Arena is the account on which holders race, one after the other.
type Arena struct {
	Accounts int
	History  *holdcheck.History

	mu  sync.Mutex
	now int
}

// account is the one to race on now: another one once enough was asked.
func (a *Arena) account() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if requests, unheard := a.History.Of(checked(a.now)); (requests >= holdsChecked || unheard >= unheardChecked) && a.now < a.Accounts-1 {
		a.now++
	}
	return checked(a.now)
}

func checked(n int) string { return "q" + strconv.Itoa(n) }

// Fund grants the accounts on which holders race what they have.
func (c *Commander) Fund(ctx context.Context, accounts int) {
	var running sync.WaitGroup
	for worker := range together {
		running.Go(func() {
			for n := worker; n < accounts; n += together {
				account := checked(n)
				c.Journal.Write(journal.Grant{Account: account, ID: "funds", Amount: HoldFunds * 1_000_000, Priority: 100})
				c.insist(ctx, journal.Answer{Kind: "grant", Account: account, ID: "funds"}, http.MethodPost, "/v1/accounts/"+account+"/grants",
					map[string]any{"id": "funds", "amount": strconv.Itoa(HoldFunds)})
			}
		})
	}
	running.Wait()
}

// Run asks everything.
func (h *Holder) Run(ctx context.Context) error {
	h.random = rand.New(rand.NewPCG(h.Plan.Seed, uint64(2000+h.Number)))
	for i := range h.Commands {
		if err := h.Gate.Reach(ctx, i*h.Events/h.Commands); err != nil {
			return err
		}
		if h.random.IntN(2) == 0 {
			h.ask(ctx, h.ordinary(i))
			continue
		}
		r := h.racing(h.Arena.account())
		h.Arena.History.Ask(h.Number, r, func() holdcheck.Answer {
			return h.ask(ctx, asked{
				verb: r.Verb, account: r.Account, id: "h" + strconv.Itoa(r.Hold), amount: r.Amount * 1_000_000, placed: map[string]any{"expires_in": "24h"},
			})
		})
	}
	return nil
}

// racing makes a request about an account whose holds are checked.
func (h *Holder) racing(account string) holdcheck.Request {
	r := holdcheck.Request{Account: account, Hold: h.random.IntN(holdcheck.IDs)}
	r.Verb = []holdcheck.Verb{holdcheck.Place, holdcheck.Place, holdcheck.Capture, holdcheck.Release}[h.random.IntN(4)]
	switch r.Amount = int64(1 + r.Hold%7); {
	case r.Verb == holdcheck.Release:
		r.Amount = 0
	case r.Verb == holdcheck.Capture:
		r.Amount = 1 + h.random.Int64N(r.Amount+1)
	case h.random.IntN(6) == 0:
		r.Amount++ // other content
	}
	return r
}

// ordinary makes the nth request about an account that usage draws from, too.
func (h *Holder) ordinary(n int) asked {
	if h.random.IntN(5) < 3 && len(h.recent) > 0 {
		old := pickOf(h.random, h.recent)
		old.verb, old.placed = holdcheck.Capture, nil
		if old.amount = old.amount * h.random.Int64N(5) / 4; old.amount == 0 {
			old.verb = holdcheck.Release
		}
		return old
	}
	made := asked{
		verb: holdcheck.Place, account: Account(h.random.IntN(min(h.Plan.Accounts, 60))), id: fmt.Sprintf("h-%d-%d", h.Number, n),
		amount: 100_000 * (1 + h.random.Int64N(150)), placed: map[string]any{"project": pickOf(h.random, projects)},
	}
	made.placed["attributes"] = map[string]string{"region": pickOf(h.random, regions)}
	if h.random.IntN(2) == 0 {
		made.placed["expires_in"] = fmt.Sprintf("%dms", 500+h.random.IntN(4000))
	}
	if h.recent = append(h.recent, made); len(h.recent) > recentHolds {
		h.recent = h.recent[1:]
	}
	return made
}

func pickOf[T any](random *rand.Rand, all []T) T { return all[random.IntN(len(all))] }

// ask asks once.
func (h *Holder) ask(ctx context.Context, a asked) holdcheck.Answer {
	kind := string(a.verb)
	h.Journal.Write(journal.Command{Kind: kind, Account: a.account, ID: a.id, Amount: a.amount})
	send := h.overHTTP
	if h.NATS != nil {
		send = h.overNATS
	}
	status, body, err := send(ctx, a)
	if err != nil || !definite(status) {
		Pause(ctx, retryDelay)
		return holdcheck.Answer{}
	}
	answer := answerOf(journal.Answer{Kind: kind, Account: a.account, ID: a.id}, status, body)
	h.Journal.Write(answer)
	return holdcheck.Answer{Known: true, Outcome: answer.Outcome, Available: answer.Available / 1_000_000, Held: answer.Held / 1_000_000}
}

func (h *Holder) overHTTP(ctx context.Context, a asked) (int, []byte, error) {
	path, content := "/v1/holds/"+a.id+"/"+string(a.verb), map[string]any{"account": a.account}
	switch a.verb {
	case holdcheck.Place:
		path, content = "/v1/accounts/"+a.account+"/holds", a.hold()
	case holdcheck.Capture:
		content["amount"] = credits(a.amount)
	}
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	return h.Gateway.Do(ctx, http.MethodPost, path, map[string]string{"Content-Type": "application/json"}, encode(content))
}

func (h *Holder) overNATS(ctx context.Context, a asked) (int, []byte, error) {
	content := map[string]any{"hold": a.id}
	switch a.verb {
	case holdcheck.Place:
		content = a.hold()
	case holdcheck.Capture:
		content["amount"] = credits(a.amount)
	}
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	reply, err := h.NATS.RequestWithContext(ctx, "drawdown.holds."+a.account, encode(map[string]any{string(a.verb): content}))
	if err != nil {
		return 0, nil, fmt.Errorf("ask over NATS: %w", err)
	}
	status, err := strconv.Atoi(reply.Header.Get("Drawdown-Status"))
	return status, reply.Data, err
}

// hold is what places a hold.
func (a asked) hold() map[string]any {
	content := map[string]any{"id": a.id, "amount": credits(a.amount)}
	for name, value := range a.placed {
		content[name] = value
	}
	return content
}

func encode(content any) []byte {
	body, err := json.Marshal(content)
	if err != nil {
		panic(fmt.Sprintf("workload: encode a command: %v", err))
	}
	return body
}
