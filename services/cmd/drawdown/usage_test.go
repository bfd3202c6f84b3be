package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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
