package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// Granter issues and voids grants, adjusts accounts and changes their plans,
// racing the charges. Every command is repeated until its answer is definite.
type Granter struct {
	Number   int // of the granter
	Plan     Plan
	Commands int
	Events   int // over which the commands are spread
	Gate     *Gate
	Commander

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
		adjustment, change := g.random.Int64N(20_000_000)-10_000_000, g.change()
		how := []string{"now", "now_prorated", "period_end"}[g.random.IntN(3)]
		kind := g.random.IntN(20)
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		running.Go(func() {
			defer func() { <-window }()
			switch {
			case kind < 3 && adjustment != 0:
				g.adjust(ctx, grant, adjustment)
				return
			case kind < 5:
				g.set(ctx, change, how)
				return
			}
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
	if random.IntN(10) == 0 {
		grant.Minutes = 1
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
	if grant.Minutes > 0 {
		content["recurrence"] = fmt.Sprintf("PT%dM", grant.Minutes)
		content["rollover"] = map[string]string{"max": credits(grant.Amount / 3)}
	}
	g.Commander.insist(ctx, journal.Answer{Kind: "grant", Account: grant.Account, ID: grant.ID}, http.MethodPost, "/v1/accounts/"+grant.Account+"/grants", content)
}

func (g *Granter) void(ctx context.Context, grant journal.Grant) {
	g.Commander.insist(ctx, journal.Answer{Kind: "void", Account: grant.Account, ID: grant.ID},
		http.MethodPost, "/v1/grants/"+grant.ID+"/void", map[string]any{"account": grant.Account, "reason": "chaos"})
}

// adjust corrects an account by hand.
func (g *Granter) adjust(ctx context.Context, grant journal.Grant, amount int64) {
	g.Journal.Write(journal.Command{Kind: "adjust", Account: grant.Account, ID: grant.ID, Amount: amount})
	g.Commander.insist(ctx, journal.Answer{Kind: "adjust", Account: grant.Account, ID: grant.ID},
		http.MethodPost, "/v1/accounts/"+grant.Account+"/adjustments", map[string]any{"id": grant.ID, "amount": credits(amount), "reason": "chaos"})
}
