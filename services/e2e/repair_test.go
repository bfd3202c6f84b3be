package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// repaired is what `drawdown verify --repair -o json` says.
type repaired struct {
	Rewound []struct{ Partition, Lost int }
	Lost    *struct {
		Commands []struct{ Kind, Grant, Granted string }
		Debits   int
	}
	Balances   struct{ Accounts struct{ Replaced int } }
	ClickHouse *struct{ Differences []struct{ Table string } }
	Audit      report
}

// TestAStreamThatCameBackShorterIsReconciled puts an older copy of one stream's
// files in its place, as a power cut without synced writes does.
func TestAStreamThatCameBackShorterIsReconciled(t *testing.T) {
	for lost, check := range map[string]func(*testing.T, repaired){
		events.StreamUsage: func(t *testing.T, r repaired) {
			charged := 0
			for _, p := range r.Rewound {
				charged += p.Lost
			}
			if charged != 20 || r.Lost != nil || r.ClickHouse != nil {
				t.Errorf("%d charged events were lost from USAGE, %+v from the ledger, ClickHouse rebuilt %+v; want 20 from USAGE alone", charged, r.Lost, r.ClickHouse)
			}
		},
		events.StreamLedger: func(t *testing.T, r repaired) {
			if len(r.Rewound) > 0 || r.Lost == nil || r.Lost.Debits != 20 || r.ClickHouse == nil || r.Balances.Accounts.Replaced == 0 {
				t.Fatalf("%+v; want 20 debits lost from the ledger, balances replaced and ClickHouse rebuilt", r)
			}
			if c := r.Lost.Commands; len(c) != 1 || c[0].Grant != "second" || c[0].Granted != "7" {
				t.Errorf("commands lost: %+v; want the second grant", c)
			}
		},
		events.StreamSignals: func(t *testing.T, r repaired) {
			if len(r.Rewound) > 0 || r.Lost != nil || r.ClickHouse == nil {
				t.Errorf("%+v; want ClickHouse rebuilt and nothing else", r)
			}
		},
	} {
		t.Run(lost, func(t *testing.T) {
			data := t.TempDir()
			in := up(t, data)
			in.must("ratecard", "apply", rateCard)
			in.must("grant", "add", "acct-0", "5", "--id", "first")
			in.use("a", 20)
			verified(in)
			in.stop(os.Interrupt)
			files := filepath.Join(data, "nats", "jetstream", "$G", "streams", lost)
			copied := filepath.Join(t.TempDir(), lost)
			replace(t, copied, files)

			in = up(t, data)
			in.must("grant", "add", "acct-1", "7", "--id", "second")
			in.use("b", 20)
			if r := verified(in); r.Usage.Charged != 40 {
				t.Fatalf("%d events are charged; want 40", r.Usage.Charged)
			}
			in.kill()
			replace(t, files, copied)

			in = up(t, data)
			in.eventually(time.Minute, "says what was lost", func() bool {
				out, status := in.cli("status")
				return status == 1 && strings.Contains(out, "stream "+lost) && strings.Contains(out, "verify --repair")
			})
			in.use("c", 5)
			check(t, decode[repaired](in, "verify", "--repair"))
			if r := verified(in); r.Usage.Charged != 45 {
				t.Errorf("%d events are charged after the repair; want 45, each once", r.Usage.Charged)
			}
			in.eventually(time.Minute, "goes on everywhere", func() bool {
				_, status := in.cli("status")
				return status == 0
			})
		})
	}
}

// use posts n usage events of several accounts.
func (in *installation) use(prefix string, n int) {
	in.t.Helper()
	for i := range n {
		body := event(fmt.Sprintf("acct-%d", i%5), fmt.Sprintf("%s%d", prefix, i))
		if status, answer := in.post(events.ContentTypeEvent, body); status != 202 {
			in.t.Fatalf("post: %d %s", status, answer)
		}
	}
}

// replace puts a copy of the folder from in the place of the folder to.
func replace(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
