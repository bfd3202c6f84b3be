package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const searchCard = `card: default
rules:
  - name: search
    match: {operation: "GET /search"}
    price: {graduated: {quantity: requests, tiers: [{up_to: 1000, price: "0.5"}, {price: "0.2"}]}}
    examples:
      - {event: {operation: "GET /search"}, credits: "0.5"}
      - {event: {operation: "GET /search", used: {requests: 1000}}, credits: CREDITS}
`

// testCard runs `ratecard test` on a card.
func testCard(t *testing.T, card, format string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(file, []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{out: &out, errs: &out, format: format}
	command := a.ratecardTestCommand()
	command.SetArgs([]string{file})
	command.SilenceUsage, command.SilenceErrors = true, true
	err := command.Execute()
	return out.String(), err
}

func TestExamplesThatComeTrueAreShownWithTheirArithmetic(t *testing.T) {
	out, err := testCard(t, strings.Replace(searchCard, "CREDITS", "0.2", 1), "text")
	if err != nil {
		t.Fatal(err)
	}
	want := `    EXAMPLE              EXPECTED  GOT  RULE    ARITHMETIC
ok  /rules/0/examples/0  0.5       0.5  search  1 × 0.5 (requests 0 to 1) = 0.5
ok  /rules/0/examples/1  0.2       0.2  search  1 × 0.2 (requests 1000 to 1001) = 0.2
2 passed, 0 failed.
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestAnExampleThatFailsIsNamed(t *testing.T) {
	card := strings.Replace(searchCard, "CREDITS", "0.5", 1)
	out, err := testCard(t, card, "text")
	if !errors.Is(err, errReported) || !strings.Contains(out, "FAILED  /rules/0/examples/1") || !strings.Contains(out, "1 passed, 1 failed.") {
		t.Errorf("error %v, and\n%s", err, out)
	}
	out, err = testCard(t, card, "json")
	var answer cardTest
	if jsonErr := json.Unmarshal([]byte(out), &answer); jsonErr != nil || !errors.Is(err, errReported) {
		t.Fatalf("error %v, %v, and\n%s", err, jsonErr, out)
	}
	if answer.Failed != 1 || answer.Passed != 1 || answer.Examples[1].Got.String() != "0.2" || !strings.Contains(answer.Examples[1].Fault, "expected 0.5") {
		t.Errorf("answer %+v", answer)
	}
}

func TestACardWithoutExamplesSaysSo(t *testing.T) {
	out, err := testCard(t, "card: c\nrules: [{name: r, price: {flat: 1}}]\n", "text")
	if err != nil || !strings.Contains(out, "has no examples") {
		t.Errorf("error %v, and\n%s", err, out)
	}
}
