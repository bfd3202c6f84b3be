package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// requested is where auto top-up stands while request n pends, made by the entry
// at sequence since.
func requested(n, since uint64) *events.TopUpBalance {
	return &events.TopUpBalance{
		State: events.TopUpPending,
		Request: &events.TopUpRequest{
			ID: events.TopUpID("acme", n), Amount: 5000 * events.Credit, Below: 500 * events.Credit,
			RequestedAt: instant(since), ExpiresAt: instant(since).Add(24 * time.Hour),
		},
		Since: &events.Cause{Sequence: since, Kind: events.EntryDebit, At: instant(since)},
	}
}

// asking is the account at ledger sequence seq while request n pends.
func asking(seq, n, since uint64, levels ...string) events.Balance {
	b := at(seq, levels...)
	b.TopUp = requested(n, since)
	return b
}

func TestReactToTopUps(t *testing.T) {
	available := at(4)
	available.TopUp = &events.TopUpBalance{State: events.TopUpAvailable}
	lost := asking(3, 1, 3)
	lost.At, lost.TopUp.Since.At = instant(99), instant(99)
	for name, test := range map[string]struct {
		seen []events.Balance
		want []string
	}{
		"a request is told once, however often it is seen": {
			seen: []events.Balance{asking(2, 1, 2), asking(3, 1, 2), asking(4, 1, 2)},
			want: []string{"1 topup_requested 500 @2"},
		},
		"the next request is told, also when nothing was seen in between": {
			seen: []events.Balance{asking(2, 1, 2), available, asking(5, 2, 5), asking(9, 4, 8)},
			want: []string{"1 topup_requested 500 @2", "2 topup_requested 500 @5", "3 topup_requested 500 @8"},
		},
		"an account without requests is told nothing": {seen: []events.Balance{at(2), available}},
		"by one cause it is told last": {
			seen: []events.Balance{asking(2, 1, 2, "+20=20@2", "+stop=0@2")},
			want: []string{"1 low 20 @2", "2 exhausted 0 @2", "3 topup_requested 500 @2"},
		},
		"an exhausted account is told all the same": {
			seen: []events.Balance{at(2, "+stop=0@2"), asking(3, 1, 3, "+stop=0@2")},
			want: []string{"1 exhausted 0 @2", "2 topup_requested 500 @3"},
		},
		"a late balance does not repeat an earlier request": {
			seen: []events.Balance{asking(9, 2, 8), asking(4, 1, 2)},
			want: []string{"1 topup_requested 500 @8"},
		},
		"a request that lost its place in the ledger and is made again is not told again": {
			seen: []events.Balance{asking(5, 1, 5), lost},
			want: []string{"1 topup_requested 500 @5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var all []events.Signal
			for _, balance := range test.seen {
				all = append(all, policy.React(restart(all), balance)...)
			}
			if diff := cmp.Diff(test.want, render(all)); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSignalOfATopUpSaysWhatIsAskedFor(t *testing.T) {
	balance := asking(7, 3, 5)
	balance.Available = 490 * events.Credit
	want := []events.Signal{{
		Account: "acme", Kind: events.SignalTopUpRequested, Threshold: "500", Scope: "account", Sequence: 1, At: instant(5),
		Balance: events.SignalBalance{Available: 490 * events.Credit},
		TopUp: &events.TopUpRequest{
			ID: "topup:acme:3", Amount: 5000 * events.Credit, Below: 500 * events.Credit,
			RequestedAt: instant(5), ExpiresAt: instant(5).Add(24 * time.Hour),
		},
		Cause: events.Cause{Sequence: 5, Kind: events.EntryDebit, At: instant(5)},
	}}
	if diff := cmp.Diff(want, policy.React(policy.Published{}, balance)); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

func TestARequestIsToldOnceAndWhenItIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []events.Signal
		told := map[string]bool{}
		for _, b := range histories.Draw(t, "history") {
			for _, s := range policy.React(restart(all), b) {
				all = append(all, s)
				if s.Kind != events.SignalTopUpRequested {
					continue
				}
				if told[s.TopUp.ID] {
					t.Fatalf("%s is told again", s.TopUp.ID)
				}
				told[s.TopUp.ID] = true
			}
			if b.TopUp != nil && !told[b.TopUp.Request.ID] {
				t.Fatalf("%s pends and was not told", b.TopUp.Request.ID)
			}
		}
	})
}
