package holdcheck_test

import (
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/holdcheck"
)

// ask is a request and its answer; during are those made while it is under way.
type ask struct {
	holdcheck.Request
	holdcheck.Answer
	during []ask
}

func (a ask) record(h *holdcheck.History) {
	h.Ask(0, a.Request, func() holdcheck.Answer {
		for _, other := range a.during {
			other.record(h)
		}
		return a.Answer
	})
}

func TestAHistoryIsExplainedOrNot(t *testing.T) {
	place := func(hold int, amount int64, outcome string, available, held int64, during ...ask) ask {
		return ask{holdcheck.Request{Account: "a", Verb: holdcheck.Place, Hold: hold, Amount: amount}, holdcheck.Answer{Known: true, Outcome: outcome, Available: available, Held: held}, during}
	}
	lost := func(verb holdcheck.Verb, hold int, amount int64) ask {
		return ask{Request: holdcheck.Request{Account: "a", Verb: verb, Hold: hold, Amount: amount}}
	}
	tests := map[string]struct {
		asked []ask
		legal bool
	}{
		"one hold after the other":                  {[]ask{place(0, 6, "applied", 4, 6), place(1, 5, "insufficient", 4, 0), place(0, 6, "unchanged", 4, 6)}, true},
		"two that race are decided in either order": {[]ask{place(0, 6, "insufficient", 4, 0, place(1, 6, "applied", 4, 6))}, true},
		"two that race can never both win":          {[]ask{place(0, 6, "applied", 4, 6, place(1, 6, "applied", 4, 6))}, false},
		"a lost answer may have been a yes":         {[]ask{lost(holdcheck.Place, 0, 6), place(1, 5, "insufficient", 4, 0)}, true},
		"or a no":                                   {[]ask{lost(holdcheck.Place, 0, 6), place(1, 5, "applied", 5, 5)}, true},
		"but not both":                              {[]ask{lost(holdcheck.Place, 0, 6), place(1, 5, "insufficient", 4, 0), place(2, 5, "applied", 5, 5)}, false},
		"nothing is decided before it is asked":     {[]ask{place(1, 5, "insufficient", 4, 0), lost(holdcheck.Place, 0, 6)}, false},
		"a lost capture may come late": {[]ask{
			place(0, 6, "applied", 4, 6), lost(holdcheck.Capture, 0, 2), place(1, 1, "applied", 3, 7), place(2, 1, "applied", 6, 2),
		}, true},
		"a release is one time alone": {[]ask{
			place(0, 6, "applied", 4, 6), lost(holdcheck.Release, 0, 0), lost(holdcheck.Release, 0, 0), place(1, 1, "applied", 15, 1),
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := holdcheck.History{Funds: 10}
			for _, a := range test.asked {
				a.record(&h)
			}
			illegal, undecided := h.Check(time.Hour)
			if legal := len(illegal) == 0; legal != test.legal || len(undecided) > 0 {
				t.Errorf("explained: %t; want %t (%v)", legal, test.legal, undecided)
			}
		})
	}
}
