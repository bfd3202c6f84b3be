package events_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

func TestATopUpIsChecked(t *testing.T) {
	t.Parallel()
	sound := events.TopUp{Below: 500 * events.Credit, Amount: 5000 * events.Credit, AtMostPerPeriod: 4}
	for name, tc := range map[string]struct {
		change func(*events.TopUp)
		path   string // "" where nothing is wrong
	}{
		"as a plan writes it": {func(*events.TopUp) {}, ""},
		"the shortest waits": {func(u *events.TopUp) {
			u.Cooldown, u.Timeout = events.Duration(time.Second), events.Duration(time.Second)
		}, ""},
		"the longest waits": {func(u *events.TopUp) {
			u.Cooldown, u.Timeout = 31*24*events.Duration(time.Hour), 31*24*events.Duration(time.Hour)
		}, ""},
		"the most requests":            {func(u *events.TopUp) { u.AtMostPerPeriod = 100 }, ""},
		"below 0":                      {func(u *events.TopUp) { u.Below = 0 }, "/below"},
		"below too much":               {func(u *events.TopUp) { u.Below = events.MaxCredits + 1 }, "/below"},
		"of nothing":                   {func(u *events.TopUp) { u.Amount = 0 }, "/amount"},
		"of less than nothing":         {func(u *events.TopUp) { u.Amount = -1 }, "/amount"},
		"of too much":                  {func(u *events.TopUp) { u.Amount = events.MaxCredits + 1 }, "/amount"},
		"fewer than none":              {func(u *events.TopUp) { u.AtMostPerPeriod = -1 }, "/at_most_per_period"},
		"more often than is kept":      {func(u *events.TopUp) { u.AtMostPerPeriod = 101 }, "/at_most_per_period"},
		"a cooldown of nearly nothing": {func(u *events.TopUp) { u.Cooldown = events.Duration(time.Second - 1) }, "/cooldown"},
		"a cooldown below 0":           {func(u *events.TopUp) { u.Cooldown = -1 }, "/cooldown"},
		"a cooldown of too long":       {func(u *events.TopUp) { u.Cooldown = 31*24*events.Duration(time.Hour) + 1 }, "/cooldown"},
		"a timeout of too long":        {func(u *events.TopUp) { u.Timeout = 31*24*events.Duration(time.Hour) + 1 }, "/timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topUp := sound
			tc.change(&topUp)
			checkProblem(t, topUp.Validate(), tc.path)
		})
	}
}

// checkProblem checks that err is a Problem at path, or nil for "".
func checkProblem(t *testing.T, err error, path string) {
	t.Helper()
	var problem *events.Problem
	if path == "" && err != nil || path != "" && (!errors.As(err, &problem) || problem.Path != path || !strings.Contains(problem.Detail, "expected")) {
		t.Errorf("%v; want a problem at %q that says what was expected", err, path)
	}
}

func TestADeclineIsChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		decline events.Decline
		path    string
	}{
		"a request":             {events.Decline{TopUp: "topup:acme:1"}, ""},
		"a request and why":     {events.Decline{TopUp: "topup:acme:1", Reason: strings.Repeat("x", 512)}, ""},
		"nothing":               {events.Decline{}, "/top_up"},
		"what names no request": {events.Decline{TopUp: "a b"}, "/top_up"},
		"too long a reason":     {events.Decline{TopUp: "topup:acme:1", Reason: strings.Repeat("x", 513)}, "/reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkProblem(t, tc.decline.Validate(), tc.path)
		})
	}
}

func TestTheIDOfARequestSaysWhoseAndWhichItIs(t *testing.T) {
	t.Parallel()
	if id := events.TopUpID("acme", 12); id != "topup:acme:12" || events.TopUpNumber("acme", id) != 12 {
		t.Errorf("the 12th request is %s, number %d", id, events.TopUpNumber("acme", id))
	}
	if id := events.TopUpID(strings.Repeat("a", 64), 1<<64-1); !events.ValidTopUpID(id) || !events.ValidGrantID(id) {
		t.Errorf("%s names no request, or no grant", id)
	}
	for _, id := range []string{"", "topup:acme", "topup:acme:", "topup:acme:0", "topup:acme:01", "topup:acme:+1", "topup:acme:-1", "topup:acm:1", "topup:acme2:1", "acme:1", "topup:acme:1 ", "topup:acme:18446744073709551616"} {
		if n := events.TopUpNumber("acme", id); n != 0 {
			t.Errorf("%q is request %d of acme", id, n)
		}
	}
}
