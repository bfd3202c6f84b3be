package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/config"
)

// execute runs a command line that reaches no gateway but the one at url.
func execute(t *testing.T, url string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), append(args, "--url", url, "--data", t.TempDir()), &o, &e)
	return o.String(), e.String(), status
}

// answering is a gateway that answers every call alike.
func answering(t *testing.T, status int, contentType, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAMistakeInACommandLineSaysWhatWasExpectedAndWhereTheHelpIs(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"grant add acme -5":                   "found -5; expected credits above 0\nSee drawdown grant add --help.\n",
		"hold capture acme job -.5":           "found -.5; expected credits above 0\nSee drawdown hold capture --help.\n",
		"balance":                             "found 0 arguments; expected ACCOUNT\nSee drawdown balance --help.\n",
		"balance acme beta":                   "found 2 arguments; expected ACCOUNT\nSee drawdown balance --help.\n",
		"version now":                         "found the argument \"now\"; expected none\nSee drawdown version --help.\n",
		"balance acme --at x --sequence 4":    "found --at and --sequence; expected one of them\nSee drawdown balance --help.\n",
		"balance acme --sequence x":           "--sequence \"x\": expected a whole number from 0 on\nSee drawdown balance --help.\n",
		"grant add acme 5 --priority 256":     "--priority \"256\": expected a whole number from 0 to 255\nSee drawdown grant add --help.\n",
		"hold place acme 5 --expires-in 60":   "--expires-in \"60\": expected a duration such as 90s, 10m or 1h30m\nSee drawdown hold place --help.\n",
		"hold place acme 5 --attribute large": "--attribute \"large\": expected name=value\nSee drawdown hold place --help.\n",
		"rebuild":                             "expected a subcommand: balances, clickhouse\nSee drawdown rebuild --help.\n",
		"grant":                               "expected a subcommand: add, list, void\nSee drawdown grant --help.\n",
		"grant take":                          "unknown command \"take\" for \"drawdown grant\"\nSee drawdown grant --help.\n",
		"account set acme":                    "expected --plan, --start or --file\nSee drawdown account set --help.\n",
		"account set acme --change now":       "expected --plan, --start or --file\nSee drawdown account set --help.\n",
		"signals --follow --kind bogus":       "--kind \"bogus\": expected one of low exhausted restored overage_started budget_exceeded budget_restored topup_requested\nSee drawdown signals --help.\n",
		"import x --format csv --grant ten":   "--grant \"ten\": expected credits above 0, at most 1000000000\nSee drawdown import --help.\n",
		"import x --format csv --grant 0":     "--grant \"0\": expected credits above 0, at most 1000000000\nSee drawdown import --help.\n",
		"help nothing":                        "found no command \"nothing\"\nSee drawdown help --help.\n",
		"help grant take":                     "found no command \"grant take\"\nSee drawdown help --help.\n",
		"version -o xml":                      "-o xml: expected text or json\nSee drawdown version --help.\n",
	} {
		out, errs, status := execute(t, "http://127.0.0.1:1", strings.Fields(line)...)
		if errs != "drawdown: "+want || status != exitUsage || out != "" {
			t.Errorf("drawdown %s: status %d\n%s%swant 2 and\ndrawdown: %s", line, status, out, errs, want)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	root, err := (&app{}).root()
	if err != nil {
		t.Fatal(err)
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if !strings.HasPrefix(c.Example, "  ") || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has the example %q", c.CommandPath(), c.Example)
		}
		for _, child := range c.Commands() {
			each(child)
		}
	}
	each(root)
}

func TestWhatTheGatewayRefusesIsToldToPeopleAndToMachines(t *testing.T) {
	t.Parallel()
	const body = `{"title":"Payment Required","status":402,"detail":"found 1 credit; expected 5","scope":"key:k","top_up":"pending","resets_at":"2026-12-01T00:00:00Z"}`
	url := answering(t, http.StatusPaymentRequired, "application/problem+json", body+"\n")
	const told = "drawdown: found 1 credit; expected 5, until 2026-12-01 00:00:00Z; a top-up is pending\n"
	out, errs, status := execute(t, url, "hold", "place", "acme", "5")
	if out != "" || errs != told || status != exitFailed {
		t.Errorf("for people: status %d, %q, %q", status, out, errs)
	}
	out, errs, status = execute(t, url, "hold", "place", "acme", "5", "-o", "json")
	if out != body+"\n" || errs != told || status != exitFailed || !json.Valid([]byte(out)) {
		t.Errorf("for machines: status %d, %q, %q", status, out, errs)
	}
}

func TestDeadLettersThatAreNotThereFailTheReplay(t *testing.T) {
	t.Parallel()
	url := answering(t, http.StatusOK, "application/json", `{"replayed":1,"not_found":[77]}`)
	out, errs, status := execute(t, url, "deadletters", "replay", "76", "77")
	if status != exitFailed || !strings.Contains(out, "There is no dead letter 77.") || errs != "" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

func TestAnImportThatTheGatewayRefusesIsNotToBeTriedAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "usage.csv")
	if err := os.WriteFile(file, fmt.Appendf(nil, "at\n%s\n", time.Now().UTC().Format(time.RFC3339)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "--format", "csv", "--account", "acme", "--operation", "GET /", "--time", "at", file}
	for status, again := range map[int]bool{http.StatusForbidden: false, http.StatusInternalServerError: true} {
		url := answering(t, status, "application/problem+json", `{"title":"No","detail":"no"}`)
		_, errs, exit := execute(t, url, args...)
		if exit != exitFailed || !strings.HasPrefix(errs, "drawdown: import "+file+": no") || strings.Contains(errs, "importing the file again") != again {
			t.Errorf("status %d: %d %s; worth another try: %v", status, exit, errs, again)
		}
	}
	refused := answering(t, http.StatusUnprocessableEntity, "application/problem+json", `{"title":"No","detail":"no","errors":[{"index":0,"detail":"too odd"}]}`)
	if out, _, exit := execute(t, refused, args...); exit != exitFailed || !strings.Contains(out, "0 events of 1 accounts accepted, 1 lines refused.") {
		t.Errorf("every line refused: %d %s", exit, out)
	}
	taken := answering(t, http.StatusAccepted, "application/json", `{"accepted":1}`)
	if out, _, exit := execute(t, taken, args...); exit != exitOK || !strings.HasSuffix(out, "0 lines refused.\nThose that are charged already count once.\n") {
		t.Errorf("every line taken: %d %s", exit, out)
	}
}

func TestWhatAnAccountLosesWhenItIsSetIsTold(t *testing.T) {
	t.Parallel()
	credits := func(n int64) *events.Balance {
		return &events.Balance{Available: events.Credits(n) * events.Credit, Expired: events.Credits(10-n) * events.Credit}
	}
	var before, now gateway.AccountDecision
	before.Terms = events.Terms{Thresholds: []string{"5"}, Overage: events.OverageSoft, Period: "day"}
	before.Balance = credits(10)
	now.ID, now.Terms, now.Balance, now.Outcome = "acme", events.Terms{Period: "month"}, credits(0), events.Applied
	var out bytes.Buffer
	(&app{out: &out}).printAccountSet(before, now)
	if want := "Account acme is set: plan none.\nNo longer set: overage, thresholds.\nExpired by it: 10 credits.\nAvailable: 0. Overage: 0.\n"; out.String() != want {
		t.Errorf("told\n%swant\n%s", &out, want)
	}
}

func TestWhatIsWrongWithAFlagIsToldByItsName(t *testing.T) {
	t.Parallel()
	url := answering(t, http.StatusUnprocessableEntity, "application/problem+json",
		`{"title":"No","detail":"the document is not valid","errors":[{"line":1,"column":11,"path":"/change","detail":"found soon"}]}`)
	_, errs, status := execute(t, url, "account", "set", "acme", "--plan", "demo", "--change", "soon", "-o", "json")
	if want := "drawdown: the document is not valid\n  --change: found soon\n"; errs != want || status != exitFailed {
		t.Errorf("status %d, %q; want %q", status, errs, want)
	}
}

func TestWhatToTryNextNamesTheDataFolder(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{"data": "", "elsewhere": " --data elsewhere"} {
		if got := (&app{cfg: &config.Config{DataDir: dir}}).dataFlag(); got != want {
			t.Errorf("in %s: %q, want %q", dir, got, want)
		}
	}
}
