package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const rateCard = "../../docs/examples/ratecard.yaml"

// granted is what each client of the web log gets, in micro-credits.
const granted = 20_000_000

var (
	importLog = []string{"import", "--format", "combined", "--grant", "20"}
	importLLM = []string{"import", "--format", "csv", "--account", "code", "--operation", "POST /v1/llm",
		"--time", "TIMESTAMP", "--quantity", "ContextTokens", "--quantity", "GeneratedTokens"}
)

// files returns the two files to import, generated unless -data names real ones.
func files(t *testing.T) (log, llm string) {
	t.Helper()
	dir := *realData
	if dir == "" {
		dir = t.TempDir()
		generate(t, dir)
	}
	return filepath.Join(dir, "access.log"), filepath.Join(dir, "llm_trace.csv")
}

// generate writes files of the same forms, with every oddity the real ones
// have: bytes of "-", many statuses and methods, CRLF, a last line without end.
// The log is of the last two hours and the trace of 2023, so that one lies
// within the dedup horizon and the other far behind it.
func generate(t *testing.T, dir string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	var log strings.Builder
	began := time.Now().Add(-2 * time.Hour)
	for i := range 6000 {
		at := began.Add(time.Duration(i) * time.Second)
		bytes := pick("-", "0", "1", "1048576", "1048577", strconv.Itoa(random.IntN(9_000_000)))
		fmt.Fprintf(&log, "10.%d.%d.7 - - [%s] \"%s /p/%d?q=%d HTTP/1.1\" %s %s \"-\" \"agent\"\n", random.IntN(4), random.IntN(100),
			at.Format("02/Jan/2006:15:04:05 -0700"), pick("GET", "GET", "GET", "HEAD", "POST", "OPTIONS"), i%40, i, pick("200", "200", "200", "304", "404", "500"), bytes)
	}
	var llm strings.Builder
	llm.WriteString("TIMESTAMP,ContextTokens,GeneratedTokens\r\n")
	for i := range 5000 {
		at := time.Date(2023, 11, 16, 18, 17, 3, i*1000, time.UTC)
		fmt.Fprintf(&llm, "%s,%d,%d\r\n", at.Format("2006-01-02 15:04:05.0000000"), random.IntN(8000), random.IntN(500))
	}
	for name, text := range map[string]string{"access.log": log.String(), "llm_trace.csv": strings.TrimSuffix(llm.String(), "\r\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// chargesOf computes each account's charges in micro-credits, and how many
// calls it made, from the files alone, the way one would with awk.
func chargesOf(t *testing.T, log, llm string) (charges map[string]int64, calls map[string]int) {
	t.Helper()
	charges, calls = map[string]int64{}, map[string]int{}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, line := range readLines(t, log) {
		f := strings.Fields(line)
		account := strings.ReplaceAll(f[0], ".", "-")
		var charge int64
		switch status, bytes := f[8], f[9]; {
		case status[0] == '4' || status[0] == '5':
		case f[5] == `"HEAD`:
			charge = 100_000
		case bytes == "-":
			charge = 250_000
		default:
			charge = 250_000 + (number(bytes)+1_048_575)/1_048_576*1_000_000
		}
		charges[account] += charge
		calls[account]++
	}
	for _, line := range readLines(t, llm)[1:] {
		f := strings.Split(line, ",")
		charges["code"] += number(f[1])*150 + number(f[2])*600 // 0.15 and 0.60 credits per 1,000
		calls["code"]++
	}
	return charges, calls
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")), "\n")
}

func TestImportsAgreeWithTotalsComputedOutside(t *testing.T) {
	log, llm := files(t)
	in := up(t, t.TempDir())
	in.must("ratecard", "apply", rateCard)
	in.must(append(importLog, log)...)
	in.must(append(importLLM, llm)...)
	charges, calls := chargesOf(t, log, llm)
	checkTotals(in, charges, calls)

	before, known := verified(in), 0
	for _, again := range [][]string{append(importLog, log), append(importLLM, llm)} {
		known += decode[struct{ Known int }](in, again...).Known
	}
	checkTotals(in, charges, calls)
	if after := verified(in); after.Usage.Charged != before.Usage.Charged || after.Usage.Duplicates+known != before.Usage.Charged {
		t.Errorf("after importing everything twice: %d charged, %d duplicates, %d found in the ledger; want %d, all found again one way or the other",
			after.Usage.Charged, after.Usage.Duplicates, known, before.Usage.Charged)
	}
}

func TestAnImportSurvivesKillsOfEverything(t *testing.T) {
	log, llm := files(t)
	data := t.TempDir()
	charges, calls := chargesOf(t, log, llm)
	const kills = 4
	for i := range kills {
		in := up(t, data)
		in.must("ratecard", "apply", rateCard)
		started := exec.Command(binary, append(append(importLog, log), "--data", data)...)
		if i%2 == 1 {
			started = exec.Command(binary, append(append(importLLM, llm), "--data", data)...)
		}
		if err := started.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- started.Wait() }()
		in.eventually(time.Minute, "has rated some of the import", func() bool { return len(ended) > 0 || rated(in) > 0 })
		in.kill()
		<-ended // failed, if it was not through: its servers are gone
	}
	in := up(t, data)
	in.must(append(importLog, log)...)
	in.must(append(importLLM, llm)...)
	checkTotals(in, charges, calls)
}

// rated reads from the rater's metrics how many events it has charged since it
// started.
func rated(in *installation) int {
	in.t.Helper()
	answer, err := http.Get(in.HTTP + "/metrics")
	if err != nil {
		in.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, `drawdown_rater_events_total{outcome="charged"} `); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				in.t.Fatal(err)
			}
			return n
		}
	}
	return 0 // nothing yet
}

type report struct {
	Usage  struct{ Events, Charged, Duplicates, Rejected int }
	Ledger struct{ Sequence int }

	Differences []struct{ Where, Detail string }
}

// verified runs `drawdown verify`, which must find nothing.
func verified(in *installation) report {
	in.t.Helper()
	r := decode[report](in, "verify")
	if len(r.Differences) > 0 {
		in.t.Fatalf("drawdown verify: %+v", r.Differences)
	}
	return r
}

// checkTotals compares balances in KV, the ledger and every rollup in
// ClickHouse with the totals computed outside.
func checkTotals(in *installation, charges map[string]int64, calls map[string]int) {
	in.t.Helper()
	verified(in) // waits until everything has caught up
	for account, charge := range charges {
		grant := int64(granted)
		if account == "code" {
			grant = 0
		}
		balance := decode[struct{ Available, Overage, Charged string }](in, "balance", account)
		want := [3]string{decimal(max(grant-charge, 0)), decimal(max(charge-grant, 0)), decimal(charge)}
		if got := [3]string{balance.Available, balance.Overage, balance.Charged}; got != want {
			in.t.Errorf("balance of %s: available, overage, charged %v; want %v", account, got, want)
		}
	}
	for _, source := range []string{
		"SELECT account, toString(sum(charged_uc)), toString(count()) FROM ledger WHERE kind = 'debit' GROUP BY account",
		"SELECT account, toString(sum(amount_uc)), toString(count()) FROM usage_events GROUP BY account",
		"SELECT account, toString(sum(charged_uc)), toString(sum(calls)) FROM usage_by_hour GROUP BY account",
		"SELECT account, toString(sum(charged_uc)), toString(sum(calls)) FROM usage_by_day GROUP BY account",
	} {
		checkRows(in, source, charges, calls)
	}
	total, count := int64(0), 0
	for account, charge := range charges {
		total, count = total+charge, count+calls[account]
	}
	rows := in.sql("SELECT toString(sum(charged_uc)), toString(sum(calls)) FROM usage_by_minute")
	if want := []string{strconv.FormatInt(total, 10), strconv.Itoa(count)}; len(rows) != 1 || !slices.Equal(rows[0], want) {
		in.t.Errorf("usage_by_minute: %v; want %v", rows, want)
	}
	if rows := in.sql("SELECT * FROM reconciliation"); len(rows) > 0 {
		in.t.Errorf("reconciliation: %v; want nothing", rows)
	}
}

func checkRows(in *installation, query string, charges map[string]int64, calls map[string]int) {
	in.t.Helper()
	left := maps.Clone(charges)
	for _, row := range in.sql(query) {
		if row[1] != strconv.FormatInt(charges[row[0]], 10) || row[2] != strconv.Itoa(calls[row[0]]) {
			in.t.Errorf("%s: %v; want %d, %d", query, row, charges[row[0]], calls[row[0]])
		}
		delete(left, row[0])
	}
	if len(left) > 0 {
		in.t.Errorf("%s: %d accounts are missing", query, len(left))
	}
}

// decimal writes micro-credits as the contract does.
func decimal(micro int64) string {
	text := fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
