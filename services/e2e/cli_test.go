package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

func TestCommandsAnswerPeopleAndMachines(t *testing.T) {
	in := up(t, t.TempDir())
	in.must("ratecard", "apply", rateCard)
	in.must("plan", "apply", "../../docs/examples/plan.yaml")
	in.must("account", "set", "acme", "--plan", "pro")
	in.must("grant", "add", "acme", "5", "--id", "gift", "--priority", "10", "--source", "promo")
	if status, body := in.post(events.ContentTypeEvent, event("acme", "one")); status != http.StatusAccepted {
		t.Fatalf("post: %d %s", status, body)
	}
	in.must("hold", "place", "acme", "2", "--id", "job-1", "--project", "web", "--attribute", "team=red", "--expires-in", "10m")
	in.must("hold", "place", "acme", "3", "--id", "job-2")
	in.must("hold", "capture", "acme", "job-2", "1")
	verified(in)
	tests := map[string]struct {
		args []string
		json []string // in the answer for machines
		text []string // in the one for people
	}{
		"balance":       {[]string{"balance", "acme"}, []string{`"available":"10001.75"`, `"held":"2"`, `"plan":"pro"`}, []string{"10001.75", "gift", "job-1"}},
		"ledger":        {[]string{"ledger", "acme"}, []string{`"kind"`, `"debit"`}, []string{"GET /x: 0.25", "hold job-2"}},
		"explain":       {[]string{"explain", "--source", "/e2e", "--id", "one"}, []string{`"everything-else"`, `"arithmetic"`}, []string{"rounding", "gift: 0.25, which left 4.75", "10005 before, 10004.75 after"}},
		"holds":         {[]string{"hold", "list", "acme"}, []string{`"id":"job-1"`, `"state":"open"`}, []string{"job-1", "web"}},
		"a hold":        {[]string{"hold", "place", "acme", "2", "--id", "job-1", "--project", "web", "--attribute", "team=red", "--expires-in", "600s"}, []string{`"unchanged"`}, []string{"Nothing changed", "open until"}},
		"a capture":     {[]string{"hold", "capture", "acme", "job-2", "1"}, []string{`"captured":"1"`}, []string{"captured with 1"}},
		"grants":        {[]string{"grant", "list", "acme"}, []string{`"gift"`}, []string{"gift"}},
		"accounts":      {[]string{"account", "list"}, []string{`"acme"`}, []string{"acme"}},
		"account":       {[]string{"account", "show", "acme"}, []string{`"pro"`}, []string{"pro"}},
		"plans":         {[]string{"plan", "list"}, []string{`"pro"`}, []string{"pro"}},
		"plan":          {[]string{"plan", "show", "pro"}, []string{`"month"`}, []string{"month"}},
		"rate cards":    {[]string{"ratecard", "list"}, []string{`"default"`}, []string{"default"}},
		"rate card":     {[]string{"ratecard", "show", "default"}, []string{`"everything-else"`}, []string{"everything-else"}},
		"dead letters":  {[]string{"deadletters", "list"}, []string{`"deadletters"`}, []string{"REASON"}},
		"configuration": {[]string{"config"}, []string{"DRAWDOWN_PARTITIONS"}, []string{"DRAWDOWN_PARTITIONS"}},
		"version":       {[]string{"version"}, []string{`"version"`}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			answer := in.must(append(tt.args, "-o", "json")...)
			var document any
			if err := json.Unmarshal([]byte(answer), &document); err != nil {
				t.Errorf("-o json is not one JSON document: %v", err)
			}
			compact := strings.NewReplacer(" ", "", "\n", "").Replace(answer)
			for _, want := range tt.json {
				if !strings.Contains(compact, strings.ReplaceAll(want, " ", "")) {
					t.Errorf("-o json lacks %s:\n%s", want, answer)
				}
			}
			people := in.must(tt.args...)
			for _, want := range tt.text {
				if !strings.Contains(people, want) {
					t.Errorf("the text lacks %q:\n%s", want, people)
				}
			}
		})
	}
}

func TestDeadLettersAreShownAndReplayedAfterAFix(t *testing.T) {
	in := up(t, t.TempDir())
	if status, body := in.post(events.ContentTypeEvent, event("acme", "early")); status != http.StatusAccepted {
		t.Fatalf("post: %d %s", status, body)
	}
	in.eventually(startTimeout, "has a dead letter", func() bool {
		return strings.Contains(in.must("deadletters", "list"), events.CodeUnratable)
	})
	if shown := in.must("deadletters", "show", "1"); !strings.Contains(shown, `"id":"early"`) {
		t.Errorf("the dead letter lacks the event's bytes:\n%s", shown)
	}
	in.must("ratecard", "apply", rateCard)
	in.must("deadletters", "replay", "--reason", events.CodeUnratable)
	if r := verified(in); r.Usage.Charged != 1 || r.Usage.Rejected != 1 {
		t.Errorf("after the replay: %+v; want 1 charged, 1 rejected", r.Usage)
	}
	if left := in.must("deadletters", "list"); strings.Contains(left, events.CodeUnratable) {
		t.Errorf("the dead letter is still there:\n%s", left)
	}
}

func TestMistakesAreToldInAWordAndByExitStatus(t *testing.T) {
	in := up(t, t.TempDir())
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("card: default\nrules:\n  - name: a\n    price: {flat: \"-1\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cheap := filepath.Join(t.TempDir(), "cheap.yaml")
	if err := os.WriteFile(cheap, []byte("card: default\nrules:\n  - name: a\n    price: {flat: \"1\"}\n    examples: [{event: {operation: GET /a}, credits: \"0.5\"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		status int
		says   string
	}{
		"an unknown command":                  {[]string{"nonsense"}, 2, "nonsense"},
		"a missing argument":                  {[]string{"balance"}, 2, "arg"},
		"an unknown flag":                     {[]string{"balance", "acme", "--nope"}, 2, "--nope"},
		"an amount below nothing":             {[]string{"grant", "add", "acme", "-5"}, 2, "found -5; expected credits above 0"},
		"a rebuild of nothing":                {[]string{"rebuild"}, 2, "balances, clickhouse"},
		"help of what is no command":          {[]string{"help", "nonsense"}, 2, "nonsense"},
		"a balance of two points":             {[]string{"balance", "acme", "--at", "2026-11-01T00:00:00Z", "--sequence", "4"}, 2, "one of them"},
		"an unknown output":                   {[]string{"version", "-o", "xml"}, 2, "text or json"},
		"an import without a format":          {[]string{"import", bad}, 2, "combined, csv or cloudevents"},
		"an account nobody named":             {[]string{"balance", "nobody"}, 1, "nobody"},
		"an account that cannot be":           {[]string{"balance", "a.b"}, 1, "A–Z"},
		"a broken rate card, with its line":   {[]string{"ratecard", "apply", bad}, 1, "bad.yaml:4"},
		"an example that does not come true":  {[]string{"ratecard", "apply", cheap}, 1, "cheap.yaml:5:16: /rules/0/examples/0: found 1 credits by rule"},
		"and the test of it":                  {[]string{"ratecard", "test", cheap}, 1, "FAILED"},
		"a file that is not there":            {[]string{"plan", "apply", "nowhere.yaml"}, 1, "nowhere.yaml"},
		"an amount of nothing":                {[]string{"grant", "add", "acme", "0", "--id", "x"}, 1, "amount"},
		"an amount that is no number":         {[]string{"grant", "add", "acme", "ten", "--id", "x"}, 1, "ten"},
		"a second up on the same folder":      {[]string{"up"}, 1, "another drawdown runs on it"},
		"a service without its NATS":          {[]string{"rater"}, 2, "DRAWDOWN_NATS_URL"},
		"a plan that does not exist":          {[]string{"account", "set", "acme", "--plan", "none"}, 1, "no plan"},
		"a setting that cannot be":            {[]string{"version", "--partitions", "0"}, 2, "DRAWDOWN_PARTITIONS"},
		"signals that are not to be followed": {[]string{"signals"}, 2, "--follow"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, status := in.cli(tt.args...)
			if status != tt.status || !strings.Contains(out, tt.says) {
				t.Errorf("drawdown %s: status %d: %s\nwant %d and something about %q", strings.Join(tt.args, " "), status, out, tt.status, tt.says)
			}
		})
	}
}

func TestUpSaysWhichPortIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	free := []string{"--http-addr", "127.0.0.1:0", "--nats-port", "0", "--clickhouse-http-port", "0", "--clickhouse-native-port", "0"}
	for _, flag := range []string{"--nats-port", "--clickhouse-http-port", "--clickhouse-native-port", "--http-addr"} {
		t.Run(flag, func(t *testing.T) {
			value := port
			if flag == "--http-addr" {
				value = "127.0.0.1:" + port
			}
			args := append(append([]string{"up", "--data", t.TempDir()}, free...), flag, value)
			out, err := exec.Command(binary, args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), port) || !strings.Contains(string(out), "taken") || !strings.Contains(string(out), flag) {
				t.Errorf("up with %s taken: %v\n%s\nwant an error that names port %s and %s", flag, err, out, port, flag)
			}
		})
	}
}

func TestADeadParentLeavesNoEngineBehind(t *testing.T) {
	in := up(t, t.TempDir())
	engine := in.EnginePID
	in.kill()
	in.gone(engine)
}

// gone waits until a process has ended.
func (in *installation) gone(pid int) {
	in.t.Helper()
	process, err := os.FindProcess(pid)
	if err != nil {
		in.t.Fatal(err)
	}
	waited := &installation{t: in.t, ended: make(chan struct{}), out: in.out}
	waited.eventually(startTimeout, "is gone", func() bool { return process.Signal(nullSignal) != nil })
}

// post sends usage over HTTP.
func (in *installation) post(contentType, body string) (int, string) {
	in.t.Helper()
	status, answer, err := in.send(contentType, body)
	if err != nil {
		in.t.Fatal(err)
	}
	return status, answer
}

// send is post for any goroutine.
func (in *installation) send(contentType, body string) (status int, answer string, err error) {
	key, err := os.ReadFile(filepath.Join(in.data, "api_key"))
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(in.t.Context(), http.MethodPost, in.HTTP+"/v1/events", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
