package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

const readyPoll = 50 * time.Millisecond

// awaitReady waits until the gateway at base takes events.
func (a *app) awaitReady(ctx context.Context, base string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
		if err != nil {
			return fmt.Errorf("ask whether the gateway is ready: %w", err)
		}
		answer, err := client.Do(request)
		if err == nil {
			_ = answer.Body.Close() // only the status matters
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := pause.For(ctx, readyPoll); err != nil {
			return err
		}
	}
}

// printNext names what to try on the running installation.
func (a *app) printNext(in *installation) {
	dir := a.dataDir()
	account := "demo"
	a.progress(`
Running; Ctrl-C stops it, the next start goes on with the same data. Try next:

  a balance        curl -H "Authorization: Bearer $(cat %[1]s/api_key)" http://%[2]s/v1/accounts/%[3]s/balance
  ClickHouse       curl "$(%[4]s)" --data-binary "SELECT account, sum(charged_uc) / 1e6 AS credits, count() FROM ledger WHERE kind = 'debit' GROUP BY account"
  signals          bin/drawdown signals --follow%[6]s
                   nats --server "$(cat %[1]s/nats_url)" sub 'credits.>'
  your own prices  bin/drawdown ratecard apply docs/examples/ratecard.yaml%[6]s
  a real log       bin/drawdown import --format combined --grant 20 access.log%[6]s
  does it add up?  bin/drawdown verify%[6]s

The log is %[5]s.`, dir, in.listener.Addr(), account, "cat "+string(dir)+"/clickhouse_url", dir.Log(), a.dataFlag())
}

// dataFlag is what other commands need to find this data folder.
func (a *app) dataFlag() string {
	if a.cfg.DataDir == config.DefaultDataDir {
		return ""
	}
	return " --data " + a.cfg.DataDir
}
