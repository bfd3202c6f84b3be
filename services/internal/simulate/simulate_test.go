package simulate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulate"
)

var (
	credit = events.MustCredits
	noon   = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)
)

// call is a usage event of the past: its operation is what the candidate charges,
// or why it refuses.
type call struct {
	account, charges, charged string
	at                        time.Time
}

func flat(u events.Usage, _ simulate.Context) (simulate.Charge, error) {
	amount, err := events.ParseCredits(u.Data.Operation)
	if err != nil {
		return simulate.Charge{}, errors.New(u.Data.Operation)
	}
	return simulate.Charge{Rule: "flat", Amount: amount}, nil
}

func run(t *testing.T, c simulate.Config, calls ...call) simulate.Result {
	t.Helper()
	s := simulate.New(c)
	for i, p := range calls {
		u := events.Usage{Source: "/api", ID: fmt.Sprint(i + 1), Account: p.account, Time: p.at, Data: events.UsageData{Operation: p.charges}}
		if err := s.Add(u, credit(p.charged)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Result()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text is what a result says, a line each.
func text(r simulate.Result) string {
	var b strings.Builder
	line := func(name string, s simulate.Sums) {
		fmt.Fprintf(&b, "%s: %d calls, %s → %s (%s)\n", name, s.Calls, s.Now, s.Then, s.Difference)
	}
	for _, row := range r.Rows {
		line(row.Account+" "+row.Operation, row.Sums)
	}
	line("all", r.Total)
	for _, a := range r.Losers {
		line("loses "+a.Account, a.Sums)
	}
	for _, a := range r.Gainers {
		line("gains "+a.Account, a.Sums)
	}
	if r.Refused.Events > 0 {
		fmt.Fprintf(&b, "refuses %d, %s:", r.Refused.Events, r.Refused.Now)
		for _, e := range r.Refused.Examples {
			fmt.Fprintf(&b, " %s %s", e.ID, e.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestASimulation(t *testing.T) {
	t.Parallel()
	before := noon.Add(-time.Microsecond)
	for name, c := range map[string]struct {
		calls []call
		want  string
	}{
		"of no usage is nothing": {nil, "all: 0 calls, 0 → 0 (0)\n"},
		"adds up each account and operation, the greatest difference first": {
			[]call{{"ada", "2", "1", noon}, {"bob", "3", "1", noon}, {"ada", "2", "1.5", noon}, {"ada", "1", "9", noon}},
			"ada 1: 1 calls, 9 → 1 (-8)\nbob 3: 1 calls, 1 → 3 (2)\nada 2: 2 calls, 2.5 → 4 (1.5)\n" +
				"all: 4 calls, 12.5 → 8 (-4.5)\nloses bob: 1 calls, 1 → 3 (2)\ngains ada: 3 calls, 11.5 → 5 (-6.5)\n",
		},
		"names nobody who neither gains nor loses": {
			[]call{{"ada", "1", "1", noon}},
			"ada 1: 1 calls, 1 → 1 (0)\nall: 1 calls, 1 → 1 (0)\n",
		},
		"counts from its beginning on, that included": {
			[]call{{"ada", "1", "2", before}, {"ada", "1", "2", noon}},
			"ada 1: 1 calls, 2 → 1 (-1)\nall: 1 calls, 2 → 1 (-1)\ngains ada: 1 calls, 2 → 1 (-1)\n",
		},
		"keeps what would be refused apart, with an example of each reason": {
			[]call{{"ada", "no rule", "2", noon}, {"bob", "no rule", "3", noon}, {"ada", "no price", "0.5", noon}, {"ada", "no rule", "9", before}, {"ada", "1", "1", noon}},
			"ada 1: 1 calls, 1 → 1 (0)\nall: 1 calls, 1 → 1 (0)\nrefuses 3, 5.5: 1 no rule 3 no price\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, simulate.Config{Card: "default", Rate: flat, Since: noon}, c.calls...)
			if diff := cmp.Diff(c.want, text(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// tiered charges what the account used in the period before, and uses 1.
func tiered(_ events.Usage, c simulate.Context) (simulate.Charge, error) {
	counter := events.Counter{Card: "default", Rule: "search", Part: events.PartGraduated, Quantity: "requests"}
	used, err := c.Used(counter)
	if err != nil {
		return simulate.Charge{}, err
	}
	amount, err := events.ParseCredits(used.String())
	return simulate.Charge{Rule: "search", Amount: amount, Tiers: []events.Tier{
		{Part: counter.Part, Quantity: counter.Quantity, Period: c.Period, Amount: events.WholeQuantity(1)},
	}}, err
}

func TestTiersCountByAccountAndBillingPeriodFromItsBeginning(t *testing.T) {
	t.Parallel()
	monthly, err := simulate.TermsOf(events.Account{Plan: "pro", StartedAt: time.Date(2026, 1, 10, 6, 0, 0, 0, time.UTC)}, events.Plan{Terms: events.Terms{Period: "month"}})
	if err != nil {
		t.Fatal(err)
	}
	terms := func(account string) simulate.Terms {
		if account == "ada" {
			return monthly
		}
		return simulate.Terms{}
	}
	day := func(d, h int) time.Time { return time.Date(2026, 11, d, h, 0, 0, 0, time.UTC) }
	r := run(t, simulate.Config{Card: "default", Rate: tiered, Terms: terms, Since: noon},
		// ada's period began on the 10th at 6: two calls of it came before noon.
		call{"ada", "x", "0", day(10, 5)}, call{"ada", "x", "0", day(10, 6)}, call{"ada", "x", "0", day(10, 7)},
		call{"ada", "x", "0", day(10, 12)}, call{"ada", "x", "0", day(20, 0)}, // 2 + 3
		call{"ada", "x", "0", day(40, 6)}, // the next period: 0
		// bob has the calendar month: one call of it came before.
		call{"bob", "x", "0", day(0, 23)}, call{"bob", "x", "0", day(1, 0)},
		call{"bob", "x", "0", day(30, 23)}, call{"bob", "x", "0", day(31, 0)}, // 1, then December: 0
	)
	want := "ada x: 3 calls, 0 → 5 (5)\nbob x: 2 calls, 0 → 1 (1)\nall: 5 calls, 0 → 6 (6)\nloses ada: 3 calls, 0 → 5 (5)\nloses bob: 2 calls, 0 → 1 (1)\n"
	if diff := cmp.Diff(want, text(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatACardAsksIsKnown(t *testing.T) {
	t.Parallel()
	tier := &events.Tiered{Quantity: "requests"}
	for name, c := range map[string]struct {
		rule         events.Rule
		asks, counts bool
	}{
		"a plain rule asks nothing":        {rule: events.Rule{Match: events.Match{Operation: "GET /"}}},
		"a plan is asked":                  {rule: events.Rule{Match: events.Match{Plan: "pro"}}, asks: true},
		"a condition may ask for the plan": {rule: events.Rule{Match: events.Match{When: `plan == "pro"`}}, asks: true},
		"a multiplier has a condition":     {rule: events.Rule{Price: events.Price{Multiply: []events.Multiplier{{}}}}, asks: true},
		"graduated tiers count":            {rule: events.Rule{Price: events.Price{Graduated: tier}}, asks: true, counts: true},
		"tiers by volume count":            {rule: events.Rule{Price: events.Price{Volume: tier}}, asks: true, counts: true},
	} {
		card := events.RateCard{Rules: []events.Rule{{}, c.rule}}
		if asks, counts := simulate.AsksAccount(card), simulate.Counts(card); asks != c.asks || counts != c.counts {
			t.Errorf("%s: asks %t, counts %t", name, asks, counts)
		}
	}
}

func TestASumThatIsTooMuchIsAnError(t *testing.T) {
	t.Parallel()
	s := simulate.New(simulate.Config{Card: "default", Since: noon, Rate: func(events.Usage, simulate.Context) (simulate.Charge, error) {
		return simulate.Charge{Amount: 1 << 62}, nil
	}})
	u := events.Usage{Account: "ada", Time: noon, Data: events.UsageData{Operation: "GET /"}}
	if err := s.Add(u, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(u, 0); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("adding up gives %v, want ErrOverflow", err)
	}
}

func TestALongResultIsCutWhereTheDifferencesAreSmallest(t *testing.T) {
	t.Parallel()
	var calls []call
	for i := range simulate.RowsMax + 5 {
		calls = append(calls, call{fmt.Sprint("account-", i), fmt.Sprint(i), "0", noon})
	}
	r := run(t, simulate.Config{Card: "default", Rate: flat, Since: noon}, calls...)
	if len(r.Rows) != simulate.RowsMax || r.MoreRows != 5 || r.Rows[0].Then != credit("1004") || r.Rows[simulate.RowsMax-1].Then != credit("5") || len(r.Losers) != simulate.TopMax || r.Total.Calls != 1005 {
		t.Errorf("%d rows from %s to %s and %d more, %d losers, %d calls", len(r.Rows), r.Rows[0].Then, r.Rows[len(r.Rows)-1].Then, r.MoreRows, len(r.Losers), r.Total.Calls)
	}
}
