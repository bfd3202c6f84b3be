package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// Commander gives commands over HTTP and notes what they are answered.
type Commander struct {
	Gateway *Gateway
	Journal *journal.Writer
}

// insist repeats a command until its answer is definite, or ctx ends, and notes
// the answer, of which about says what it is about.
func (c *Commander) insist(ctx context.Context, about journal.Answer, method, path string, content map[string]any) {
	body := encode(content)
	for ctx.Err() == nil {
		status, text, err := c.Gateway.Do(ctx, method, path, map[string]string{"Content-Type": "application/json"}, body)
		if err == nil && definite(status) {
			c.Journal.Write(answerOf(about, status, text))
			return
		}
		Pause(ctx, retryDelay)
	}
}

// definite reports whether an answer says what was decided.
func definite(status int) bool { return status < 500 && status != http.StatusTooManyRequests }

// answerOf reads an answer.
func answerOf(a journal.Answer, status int, body []byte) journal.Answer {
	var said struct {
		Outcome  string `json:"outcome"`
		Sequence uint64 `json:"sequence"`
		Balance  struct {
			Available string `json:"available"`
			Held      string `json:"held"`
		} `json:"balance"`
		LedgerSequence uint64 `json:"ledger_sequence"`
		Available      string `json:"available"` // of a 402
		Errors         []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	a.Status = status
	if json.Unmarshal(body, &said) != nil {
		return a
	}
	a.Outcome, a.Sequence = said.Outcome, said.Sequence
	a.Available, a.Held = micro(said.Balance.Available), micro(said.Balance.Held)
	switch {
	case status == http.StatusPaymentRequired:
		a.Outcome, a.Available = "insufficient", micro(said.Available)
	case status >= 300 && len(said.Errors) > 0:
		a.Outcome, a.Sequence = said.Errors[0].Code, said.LedgerSequence
	}
	return a
}

// credits writes micro-credits as credits.
func credits(micro int64) string {
	sign := ""
	if micro < 0 {
		sign, micro = "-", -micro
	}
	return fmt.Sprintf("%s%d.%06d", sign, micro/1_000_000, micro%1_000_000)
}

// micro reads credits as micro-credits; nothing is 0.
func micro(text string) int64 {
	whole, fraction, _ := strings.Cut(text, ".")
	n, _ := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64) // 0 if it is none: the oracle will say so
	return n
}

// Plans, by name. Both have the same periods, so that tiers are counted alike
// whichever an account is on.
var plans = map[string]string{
	"pro": `{"plan":"pro","period":"PT1M","grant":{"amount":"120","priority":50,"rollover":{"min":"1","max":"40"}},"thresholds":["50%","20"],
 "overage":"soft","overage_limit":"200","preserve_overage":true,"capture_more":true,
 "budgets":[{"scope":"project:*","limit":"60","per":"PT2M"},{"scope":"region:eu","limit":"30","per":"period"}]}`,
	"team": `{"plan":"team","period":"PT1M","grant":{"amount":"200"},"thresholds":["10%"],"hard_stop_at":"3",
 "budgets":[{"scope":"project:*","limit":"50","per":"PT2M"},{"scope":"project:p1","limit":"20","per":"PT1M"},{"scope":"region:us","limit":"40","per":"PT1M"}],
 "top_up":{"below":"150","amount":"25","at_most_per_period":2,"cooldown":"5s","timeout":"15s"}}`,
}

// planOf is the plan of the nth account when a run begins; most have none.
func planOf(n int) string { return []string{"", "pro", "", "team", "", ""}[n%6] }

// started is when the nth account started: at any moment of the minute before
// the start of the run, so that periods end all the time.
func (p Plan) started(n int) time.Time {
	return p.Start.Add(-time.Duration(n*7919%60_000) * time.Millisecond)
}

// Prepare applies the plans, and sets the accounts that have one.
func (c *Commander) Prepare(ctx context.Context, p Plan) {
	for name, plan := range plans {
		var content map[string]any
		if err := json.Unmarshal([]byte(plan), &content); err != nil {
			panic(fmt.Sprintf("workload: plan %s: %v", name, err))
		}
		c.Journal.Write(journal.Command{Kind: "plan", Account: name})
		c.insist(ctx, journal.Answer{Kind: "plan", Account: name}, http.MethodPut, "/v1/plans/"+name, content)
	}
	done := make(chan struct{}, together)
	for worker := range together {
		go func() {
			for n := worker; n < p.Accounts; n += together {
				if plan := planOf(n); plan != "" {
					s := journal.Settings{Account: Account(n), Plan: plan, Started: p.started(n).UnixMicro()}
					c.Journal.Write(s)
					c.set(ctx, s, "now")
				}
			}
			done <- struct{}{}
		}()
	}
	for range together {
		<-done
	}
}

// set sets an account: when a run begins with its start, later to another plan.
func (c *Commander) set(ctx context.Context, s journal.Settings, change string) {
	content := map[string]any{"plan": s.Plan, "change": change}
	if s.Started != 0 {
		content["started_at"] = timeOf(s.Started)
	}
	c.Journal.Write(journal.Command{Kind: "account", Account: s.Account})
	c.insist(ctx, journal.Answer{Kind: "account", Account: s.Account}, http.MethodPut, "/v1/accounts/"+s.Account, content)
}

// change has an account that has a plan take one of the plans.
func (g *Granter) change() journal.Settings {
	n := g.random.IntN(g.Plan.Accounts)
	for planOf(n) == "" {
		n = g.random.IntN(g.Plan.Accounts)
	}
	return journal.Settings{Account: Account(n), Plan: []string{"pro", "team"}[g.random.IntN(2)]}
}
