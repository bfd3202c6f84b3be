package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// Granter issues and voids grants, racing the charges. Every command is
// repeated until its answer is definite.
type Granter struct {
	Number   int // of the granter
	Plan     Plan
	Commands int
	Events   int // over which the commands are spread
	Gate     *Gate
	Gateway  *Gateway
	Journal  *journal.Writer

	random *rand.Rand
}

// longGrant is the life of a grant that does not expire during a run.
const longGrant = 30 * 24 * time.Hour

// Run gives all commands and returns when each is answered.
func (g *Granter) Run(ctx context.Context) error {
	g.random = rand.New(rand.NewPCG(g.Plan.Seed, uint64(1000+g.Number)))
	var running sync.WaitGroup
	defer running.Wait()
	window := make(chan struct{}, 8)
	for i := range g.Commands {
		if err := g.Gate.Reach(ctx, i*g.Events/g.Commands); err != nil {
			return err
		}
		grant := g.next(i)
		voided, racing := g.random.IntN(100) < 30, g.random.IntN(2) == 0
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		running.Go(func() {
			defer func() { <-window }()
			if voided && racing {
				running.Go(func() { g.void(ctx, grant) })
			}
			g.grant(ctx, grant)
			if voided && !racing {
				g.void(ctx, grant)
			}
		})
	}
	return nil
}

// next makes the nth grant. Its times are relative to now, so only their
// distances depend on the seed alone.
func (g *Granter) next(n int) journal.Grant {
	random := g.random
	grant := journal.Grant{
		Account: Account(random.IntN(g.Plan.Accounts)), ID: fmt.Sprintf("g-%d-%d", g.Number, n),
		Amount: 1_000_000 + random.Int64N(200_000_000), Priority: 100,
	}
	if random.IntN(10) == 0 {
		grant.Account, grant.Amount = Hot, grant.Amount*20
	}
	if random.IntN(3) == 0 {
		grant.Priority = random.IntN(256)
	}
	now := time.Now()
	switch life := random.IntN(10); {
	case life < 2:
		grant.Ends = now.Add(5*time.Second + time.Duration(random.Int64N(int64(15*time.Second)))).UnixMicro()
	case life < 5:
		grant.Ends = now.Add(longGrant + time.Duration(random.IntN(1000))*time.Minute).Truncate(time.Hour).UnixMicro()
	}
	if random.IntN(8) == 0 {
		grant.Begins = now.Add(time.Duration(random.Int64N(int64(4 * time.Second)))).UnixMicro()
	}
	return grant
}

func (g *Granter) grant(ctx context.Context, grant journal.Grant) {
	g.Journal.Write(grant)
	content := map[string]any{"id": grant.ID, "amount": credits(grant.Amount), "priority": grant.Priority}
	if grant.Begins != 0 {
		content["effective_at"] = timeOf(grant.Begins)
	}
	if grant.Ends != 0 {
		content["expires_at"] = timeOf(grant.Ends)
	}
	status := g.ask(ctx, "/v1/accounts/"+grant.Account+"/grants", content)
	g.Journal.Write(journal.Answer{Account: grant.Account, Grant: grant.ID, Status: status})
}

func (g *Granter) void(ctx context.Context, grant journal.Grant) {
	status := g.ask(ctx, "/v1/grants/"+grant.ID+"/void", map[string]any{"account": grant.Account, "reason": "chaos"})
	g.Journal.Write(journal.Answer{Void: true, Account: grant.Account, Grant: grant.ID, Status: status})
}

// ask repeats a command until its answer is definite, and returns 0 only when
// ctx ends first.
func (g *Granter) ask(ctx context.Context, path string, content map[string]any) (status int) {
	body, err := json.Marshal(content)
	if err != nil {
		panic(fmt.Sprintf("workload: encode a command: %v", err))
	}
	for ctx.Err() == nil {
		status, err := g.Gateway.Do(ctx, http.MethodPost, path, map[string]string{"Content-Type": "application/json"}, body)
		if err == nil && status < 500 && status != http.StatusTooManyRequests {
			return status
		}
		Pause(ctx, retryDelay)
	}
	return 0
}

// credits writes micro-credits as credits.
func credits(micro int64) string { return fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000) }
