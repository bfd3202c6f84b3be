package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

func ptr[T any](v T) *T { return &v }

func TestAPlanIsReadAsWritten(t *testing.T) {
	t.Parallel()
	got, err := catalog.ParsePlan("plan.yaml", []byte(`
plan: pro
period: month
grant: {amount: "10000", priority: 50, rollover: {min: "0.5", max: 2000}}
overage: soft
overage_limit: "250"
preserve_overage: true
thresholds: ["20%", 5%, "0.25%", 100, "0.5"]
hard_stop_at: "0"
capture_more: true
budgets: [{scope: "project:*", limit: "3000", per: month}, {scope: "key:k1", limit: 500, per: period}]
top_up: {below: "500", amount: 5000, at_most_per_period: 4, cooldown: 15m, timeout: 48h}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := events.Plan{Plan: "pro", Terms: events.Terms{
		Period: "month", Overage: "soft", OverageLimit: ptr(250 * events.Credit), PreserveOverage: ptr(true),
		Grant: &events.PlanGrant{Amount: 10000 * events.Credit, Priority: ptr(uint8(50)),
			Rollover: &events.Rollover{Min: events.Credit / 2, Max: 2000 * events.Credit}},
		Thresholds: []string{"20%", "5%", "0.25%", "100", "0.5"},
		HardStopAt: ptr(events.Credits(0)), CaptureMore: ptr(true),
		Budgets: []events.Budget{{Scope: "project:*", Limit: 3000 * events.Credit, Per: "month"}, {Scope: "key:k1", Limit: 500 * events.Credit, Per: "period"}},
		TopUp: &events.TopUp{Below: 500 * events.Credit, Amount: 5000 * events.Credit, AtMostPerPeriod: 4,
			Cooldown: events.Duration(15 * time.Minute), Timeout: events.Duration(48 * time.Hour)},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestPeriodsAndBounds(t *testing.T) {
	t.Parallel()
	for _, period := range []string{"day", "week", "month", "year", "PT1H", "PT90M", "PT1H30M15S", "PT1M"} {
		if _, err := catalog.ParsePlan("p", []byte("plan: p\nperiod: "+period)); err != nil {
			t.Errorf("period %s: %v", period, err)
		}
	}
	if _, err := catalog.ParsePlan("p", []byte("plan: p\nperiod: day\ngrant: {amount: 1000000000, priority: 255}\nhard_stop_at: 1000000000\nthresholds: [100%]")); err != nil {
		t.Errorf("the largest amounts: %v", err)
	}
}

func TestAnAccountIsReadAsWritten(t *testing.T) {
	t.Parallel()
	got, err := catalog.ParseAccount("body", []byte(`{"id":"acme","plan":"pro","started_at":"2026-01-15T00:00:00Z","change":"period_end","thresholds":["5"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := events.Account{ID: "acme", Plan: "pro", Change: events.ChangePeriodEnd, StartedAt: time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC), Terms: events.Terms{Thresholds: []string{"5"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if _, err := catalog.ParseAccount("body", []byte(`{"id":"acme","overage_limit":"5"}`)); err != nil {
		t.Errorf("a limit beside the plan's soft overage: %v", err)
	}
	if _, err := catalog.ParseAccount("body", []byte(`{}`)); err != nil {
		t.Errorf("an account without settings: %v", err)
	}
}

// refusals are documents and the beginning of the one line that refuses each.
type refusals map[string]struct{ src, want string }

func (rs refusals) run(t *testing.T, parse func(string, []byte) error) {
	for name, tc := range rs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parse("f.yaml", []byte(tc.src))
			if !errors.Is(err, events.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			if !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("refused with\n%s\nwant one line that begins with\n%s", err, tc.want)
			}
		})
	}
}

func TestPlansAreRefusedWithTheLine(t *testing.T) {
	t.Parallel()
	refusals{
		"no name":                              {"period: day", "f.yaml:1:1: /plan: found nothing"},
		"an unknown period":                    {"plan: p\nperiod: fortnight", "f.yaml:2:9: /period: found \"fortnight\"; expected day, week, month, year"},
		"a period of months and days":          {"plan: p\nperiod: P1M1D", "f.yaml:2:9: /period"},
		"a period of nothing":                  {"plan: p\nperiod: PT0S", "f.yaml:2:9: /period"},
		"a period without numbers":             {"plan: p\nperiod: PTH", "f.yaml:2:9: /period"},
		"a period out of order":                {"plan: p\nperiod: PT1S1H", "f.yaml:2:9: /period"},
		"a period beyond ten years":            {"plan: p\nperiod: PT99999H", "f.yaml:2:9: /period"},
		"a period that overflows":              {"plan: p\nperiod: PT9999999999999H", "f.yaml:2:9: /period"},
		"a grant without a period":             {"plan: p\ngrant: {amount: 1}", "f.yaml:2:8: /grant: found a grant in a plan without a period"},
		"a grant without an amount":            {"plan: p\nperiod: day\ngrant: {}", "f.yaml:3:8: /grant/amount: found nothing; expected credits above 0"},
		"a grant of 0":                         {"plan: p\nperiod: day\ngrant: {amount: 0}", "f.yaml:3:17: /grant/amount: found \"0\"; expected credits above 0"},
		"a grant of 7 places":                  {"plan: p\nperiod: day\ngrant: {amount: 0.0000001}", "f.yaml:3:17: /grant/amount"},
		"a grant beyond the most":              {"plan: p\nperiod: day\ngrant: {amount: \"1000000000.000001\"}", "f.yaml:3:17: /grant/amount"},
		"a grant beyond int64":                 {"plan: p\nperiod: day\ngrant: {amount: 99999999999999999999}", "f.yaml:3:17: /grant/amount"},
		"a priority of 256":                    {"plan: p\nperiod: day\ngrant: {amount: 1, priority: 256}", "f.yaml:3:30: /grant/priority: found \"256\"; expected a priority from 0 to 255"},
		"a priority of -1":                     {"plan: p\nperiod: day\ngrant: {amount: 1, priority: -1}", "f.yaml:3:30: /grant/priority"},
		"a rollover without a maximum":         {"plan: p\nperiod: day\ngrant: {amount: 1, rollover: {}}", "f.yaml:3:30: /grant/rollover/max: found nothing; expected the most credits that are carried over, above 0"},
		"a rollover of at most 0":              {"plan: p\nperiod: day\ngrant: {amount: 1, rollover: {max: 0}}", "f.yaml:3:36: /grant/rollover/max: found \"0\"; expected the most credits"},
		"a rollover of at least less than 0":   {"plan: p\nperiod: day\ngrant: {amount: 1, rollover: {max: 1, min: -1}}", "f.yaml:3:44: /grant/rollover/min: found \"-1\"; expected credits of 0 or more"},
		"a rollover of at least above at most": {"plan: p\nperiod: day\ngrant: {amount: 9, rollover: {min: 3, max: 2}}", "f.yaml:3:36: /grant/rollover/min: found 3; expected at most max, 2"},
		"a rollover of more than the grant":    {"plan: p\nperiod: day\ngrant: {amount: 1, rollover: {min: 3, max: 4}}", "f.yaml:3:36: /grant/rollover/min: found 3; expected at most the grant's amount, 1"},
		"a rollover outside of the grant":      {"plan: p\nperiod: day\nrollover: {max: 4}", "f.yaml:3:1: /rollover: found the unknown key \"rollover\""},
		"recurrence":                           {"plan: p\nperiod: day\ngrant: {amount: 1, recurrence: day}", "f.yaml:3:20: /grant/recurrence: found recurrence, which is not supported yet"},
		"soft overage without a limit":         {"plan: p\noverage: soft", "f.yaml:1:1: /overage_limit: found nothing; expected the most credits that may be owed, as overage is soft"},
		"a capture of more, perhaps":           {"plan: p\ncapture_more: maybe", "f.yaml:2:15: /capture_more: found the text \"maybe\"; expected true or false"},
		"unknown overage":                      {"plan: p\noverage: none", "f.yaml:2:10: /overage: found \"none\"; expected hard, soft, postpaid"},
		"a limit of hard overage":              {"plan: p\noverage: hard\noverage_limit: 1", "f.yaml:3:16: /overage_limit: found a limit beside overage: hard; expected one beside overage: soft alone"},
		"a limit of postpaid overage":          {"plan: p\noverage: postpaid\noverage_limit: 1", "f.yaml:3:16: /overage_limit: found a limit beside overage: postpaid"},
		"a limit without overage":              {"plan: p\noverage_limit: 1", "f.yaml:2:16: /overage_limit: found a limit in a plan whose overage is hard; expected overage: soft beside it"},
		"a limit of 0":                         {"plan: p\noverage: soft\noverage_limit: 0", "f.yaml:3:16: /overage_limit: found \"0\"; expected the most credits that may be owed, above 0"},
		"a limit beyond the most":              {"plan: p\noverage: soft\noverage_limit: 1000000001", "f.yaml:3:16: /overage_limit: found \"1000000001\""},
		"overage that is perhaps preserved":    {"plan: p\npreserve_overage: maybe", "f.yaml:2:19: /preserve_overage: found the text \"maybe\"; expected true or false"},
		"a top-up that is no mapping":          {"plan: p\ntop_up: 500", "f.yaml:2:9: /top_up: found the number \"500\"; expected a top-up with below, amount, at_most_per_period, cooldown, timeout"},
		"a top-up without a level":             {"plan: p\ntop_up: {amount: 1, at_most_per_period: 1}", "f.yaml:2:9: /top_up/below: found nothing; expected the credits below which"},
		"a top-up below 0":                     {"plan: p\ntop_up: {below: 0, amount: 1, at_most_per_period: 1}", "f.yaml:2:17: /top_up/below: found \"0\"; expected the credits below which"},
		"a top-up of nothing":                  {"plan: p\ntop_up: {below: 1, amount: 0, at_most_per_period: 1}", "f.yaml:2:28: /top_up/amount: found \"0\"; expected the credits that a top-up grants"},
		"top-ups without end":                  {"plan: p\ntop_up: {below: 1, amount: 1}", "f.yaml:2:9: /top_up/at_most_per_period: found nothing; expected how many there may be in one period, 0 to 100"},
		"fewer than 0 top-ups":                 {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: -1}", "f.yaml:2:51: /top_up/at_most_per_period: found \"-1\"; expected how many"},
		"101 top-ups":                          {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: 101}", "f.yaml:2:51: /top_up/at_most_per_period: found \"101\""},
		"a cooldown of 0":                      {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: 1, cooldown: 0s}", "f.yaml:2:64: /top_up/cooldown: found \"0s\"; expected a length of time from 1s to 744h"},
		"a cooldown without a unit":            {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: 1, cooldown: 10}", "f.yaml:2:64: /top_up/cooldown: found the number \"10\"; expected a length of time"},
		"a timeout of 745 hours":               {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: 1, timeout: 745h}", "f.yaml:2:63: /top_up/timeout: found \"745h\"; expected a length of time"},
		"a top-up with more in it":             {"plan: p\ntop_up: {below: 1, amount: 1, at_most_per_period: 1, card: visa}", "f.yaml:2:54: /top_up/card: found the unknown key \"card\""},
		"budgets":                              {"plan: p\nbudgets: []", "f.yaml:2:10: /budgets: found 0 budgets; expected 1 to 32"},
		"a budget without a limit":             {"plan: p\nbudgets: [{scope: \"key:*\", per: day}]", "f.yaml:2:11: /budgets/0/limit: found nothing; expected the most credits"},
		"a budget of nothing":                  {"plan: p\nbudgets: [{scope: \"key:*\", limit: 0, per: day}]", "f.yaml:2:35: /budgets/0/limit: found \"0\"; expected the most credits"},
		"a budget without a value":             {"plan: p\nbudgets: [{scope: \"key:\", limit: 1, per: day}]", "f.yaml:2:19: /budgets/0/scope: found \"key:\"; expected project:*, key:k1"},
		"a budget of what has no name":         {"plan: p\nbudgets: [{scope: web, limit: 1, per: day}]", "f.yaml:2:19: /budgets/0/scope: found \"web\"; expected project:*"},
		"a budget per fortnight":               {"plan: p\nbudgets: [{scope: \"key:*\", limit: 1, per: fortnight}]", "f.yaml:2:43: /budgets/0/per: found \"fortnight\"; expected period"},
		"a budget per period without a period": {"plan: p\nbudgets: [{scope: \"key:*\", limit: 1, per: period}]", "f.yaml:2:10: /budgets/0/per: found a budget per period in a plan without a period"},
		"a budget twice":                       {"plan: p\nbudgets: [{scope: \"key:*\", limit: 1, per: day}, {scope: \"key:*\", limit: 2, per: day}]", "f.yaml:2:49: /budgets/1: found the budget of \"key:*\" per day twice"},
		"a budget with more in it":             {"plan: p\nbudgets: [{scope: \"key:*\", limit: 1, per: day, of: 2}]", "f.yaml:2:48: /budgets/0/of: found the unknown key \"of\""},
		"a threshold of 0%":                    {"plan: p\nthresholds: [0%]", "f.yaml:2:14: /thresholds/0: found \"0%\"; expected a percentage above 0"},
		"a threshold beyond 100%":              {"plan: p\nthresholds: [\"20%\", \"100.01%\"]", "f.yaml:2:21: /thresholds/1: found \"100.01%\""},
		"a threshold of 3 places":              {"plan: p\nthresholds: [0.125%]", "f.yaml:2:14: /thresholds/0"},
		"a negative threshold":                 {"plan: p\nthresholds: [-5]", "f.yaml:2:14: /thresholds/0"},
		"a threshold given twice":              {"plan: p\nthresholds: [20%, 20.0%]", "f.yaml:2:19: /thresholds/1: found the threshold \"20.0%\" twice"},
		"no thresholds":                        {"plan: p\nthresholds: []", "f.yaml:2:13: /thresholds: found 0 thresholds; expected 1 to 16"},
		"a single threshold outside of a list": {"plan: p\nthresholds: 20%", "f.yaml:2:13: /thresholds: found the text \"20%\"; expected a list"},
		"a negative hard stop":                 {"plan: p\nhard_stop_at: -0.000001", "f.yaml:2:15: /hard_stop_at: found \"-0.000001\"; expected credits of 0 or more"},
	}.run(t, func(name string, src []byte) error {
		_, err := catalog.ParsePlan(name, src)
		return err
	})
}

func TestAccountsAreRefusedWithTheLine(t *testing.T) {
	t.Parallel()
	refusals{
		"an id with a dot":    {"id: a.b", "f.yaml:1:5: /id: found \"a.b\"; expected an account"},
		"an unknown key":      {"name: x", "f.yaml:1:1: /name: found the unknown key \"name\""},
		"a start that is not": {"started_at: yesterday", "f.yaml:1:13: /started_at: found \"yesterday\""},
		"an unknown change":   {"change: later", "f.yaml:1:9: /change: found \"later\"; expected now, now_prorated, period_end"},
		"what waits":          {"next: {plan: pro}", "f.yaml:1:1: /next: found the unknown key \"next\""},
		"a plan with a space": {"plan: a b", "f.yaml:1:7: /plan: found \"a b\""},
	}.run(t, func(name string, src []byte) error {
		_, err := catalog.ParseAccount(name, src)
		return err
	})
}

func TestWhatACheckFindsHasItsLine(t *testing.T) {
	t.Parallel()
	found := func(card events.RateCard) []catalog.Problem {
		return []catalog.Problem{{Path: "/rules/3/examples/0", Detail: "too cheap"}, {Path: "/examples/0/credits", Detail: "too dear"}, {Path: "/none", Detail: "lost"}}
	}
	_, err := catalog.ParseRateCard("card.yaml", []byte(contractCard), found)
	want := "card.yaml:2:1: /none: lost\ncard.yaml:34:9: /rules/3/examples/0: too cheap\ncard.yaml:39:45: /examples/0/credits: too dear"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := catalog.ParseRateCard("f.yaml", []byte("card: c"), found); err == nil || strings.Contains(err.Error(), "too") {
		t.Errorf("a card that is not well formed: %v; want no check of it", err)
	}
}

func TestEveryProblemIsReportedInTheOrderOfLines(t *testing.T) {
	t.Parallel()
	_, err := catalog.ParseRateCard("card.yaml", []byte("card: a b\nrounding: x\nrules:\n  - name: r\n    price: {flat: -1, maximum: 1}\n    match: {status: 7}\n"))
	var refused *catalog.Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range refused.Problems {
		got = append(got, p.Path)
	}
	want := []string{"/card", "/rounding", "/rules/0/price/flat", "/rules/0/price/maximum", "/rules/0/match/status"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(contractCard))
	f.Add([]byte("plan: pro\nperiod: PT1H\ngrant: {amount: 1}\nthresholds: [20%]\n"))
	f.Add([]byte(`{"card":"c","rules":[{"name":"r","price":{"flat":"1"}}]}`))
	f.Add([]byte("a: &x [*x, !t {<<: 1}]\n? b\n: |\n  c\n--- >\n d\n..."))
	f.Fuzz(func(t *testing.T, src []byte) {
		_, cardErr := catalog.ParseRateCard("f", src)
		_, planErr := catalog.ParsePlan("f", src)
		_, accountErr := catalog.ParseAccount("f", src)
		for _, err := range []error{cardErr, planErr, accountErr} {
			if err != nil && !errors.Is(err, events.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
		}
	})
}
