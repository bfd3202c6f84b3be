package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/enforcer/policy"
)

// at is the account as it stands at ledger sequence seq. A level is written
// "+20%=20@5": reached (+) or not (-), threshold, credits, the sequence that
// last moved the account across; "stop" is the hard stop, "owes" the first
// overage, "@0" is never.
func at(seq uint64, levels ...string) events.Balance {
	b := events.Balance{Account: "acme", Sequence: seq, At: instant(seq)}
	for _, text := range levels {
		name, rest, _ := strings.Cut(text[1:], "=")
		credits, place, _ := strings.Cut(rest, "@")
		l := events.Level{Kind: events.SignalLow, Threshold: name, At: events.MustCredits(credits), Reached: text[0] == '+'}
		if name == "stop" {
			l.Kind, l.Threshold = events.SignalExhausted, credits
		}
		if name == "owes" {
			l.Kind, l.Threshold = events.SignalOverageStarted, credits
		}
		var since uint64
		if _, err := fmt.Sscan(place, &since); err != nil {
			panic(err)
		}
		if since > 0 {
			l.Since = &events.Cause{Sequence: since, Kind: events.EntryDebit, At: instant(since)}
		}
		b.Levels = append(b.Levels, l)
	}
	return b
}

func instant(seq uint64) time.Time { return time.Unix(int64(seq), 0).UTC() }

// render writes signals as "1 low 20% @5".
func render(signals []events.Signal) []string {
	var lines []string
	for _, s := range signals {
		lines = append(lines, fmt.Sprintf("%d %s %s @%d", s.Sequence, s.Kind, s.Threshold, s.Cause.Sequence))
	}
	return lines
}

func TestReact(t *testing.T) {
	tests := map[string]struct {
		seen []events.Balance // one after the other, each reacted to
		want []string         // all that was published
	}{
		"an account never funded is told nothing": {
			seen: []events.Balance{at(1, "+20%=0@0", "+stop=0@0"), at(2, "+20%=0@0", "+stop=0@0")},
		},
		"a funded account is told nothing": {
			seen: []events.Balance{at(1, "-20%=20@1", "-stop=0@1")},
		},
		"each threshold on the way down is told once": {
			seen: []events.Balance{
				at(2, "+20%=20@2", "-5%=5@1", "-stop=0@1"), at(3, "+20%=20@2", "+5%=5@3", "-stop=0@1"),
				at(4, "+20%=20@2", "+5%=5@3", "-stop=0@1"), at(5, "+20%=20@2", "+5%=5@3", "+stop=0@5"),
			},
			want: []string{"1 low 20% @2", "2 low 5% @3", "3 exhausted 0 @5"},
		},
		"a jump over all levels at once tells them from the highest down, then exhausted": {
			seen: []events.Balance{at(2, "+stop=0@2", "+5=5@2", "+20%=20@2")},
			want: []string{"1 low 20% @2", "2 low 5 @2", "3 exhausted 0 @2"},
		},
		"a hard stop above a threshold is still told after it": {
			seen: []events.Balance{at(2, "+stop=50@2", "+20=20@2")},
			want: []string{"1 low 20 @2", "2 exhausted 50 @2"},
		},
		"equal levels are told in the order of their thresholds": {
			seen: []events.Balance{at(2, "+20%=20@2", "+20=20@2", "-stop=0@1")},
			want: []string{"1 low 20 @2", "2 low 20% @2"},
		},
		"signals of several causes come in the order of the causes": {
			seen: []events.Balance{at(9, "+20=20@7", "+5=5@4", "+stop=0@8")},
			want: []string{"1 low 5 @4", "2 low 20 @7", "3 exhausted 0 @8"},
		},
		"rising above a threshold tells nothing and arms it again": {
			seen: []events.Balance{at(2, "+20=20@2", "-stop=0@1"), at(3, "-20=20@3", "-stop=0@1"), at(4, "+20=20@4", "-stop=0@1")},
			want: []string{"1 low 20 @2", "2 low 20 @4"},
		},
		"exhausted, restored and exhausted again are each told": {
			seen: []events.Balance{at(2, "+stop=0@2"), at(3, "-stop=0@3"), at(4, "+stop=0@4"), at(5, "-stop=0@5")},
			want: []string{"1 exhausted 0 @2", "2 restored 0 @3", "3 exhausted 0 @4", "4 restored 0 @5"},
		},
		"restored into a low balance does not repeat the low": {
			seen: []events.Balance{at(2, "+20=20@2", "+stop=0@2"), at(3, "+20=20@2", "-stop=0@3")},
			want: []string{"1 low 20 @2", "2 exhausted 0 @2", "3 restored 0 @3"},
		},
		"restored and low by one cause come in this order": {
			seen: []events.Balance{at(2, "+stop=0@2"), at(3, "+50=50@3", "-stop=-5@3")},
			want: []string{"1 exhausted 0 @2", "2 restored -5 @3", "3 low 50 @3"},
		},
		"a blip below the stop between two balances is told by nobody either": {
			seen: []events.Balance{at(2, "-stop=0@1"), at(5, "-stop=0@4")},
		},
		"a blip below a threshold between two balances is told when it ended below": {
			seen: []events.Balance{at(2, "+20=20@2", "-stop=0@1"), at(6, "+20=20@5", "-stop=0@1")},
			want: []string{"1 low 20 @2", "2 low 20 @5"},
		},
		"a blip above the stop between two balances is told by nobody": {
			seen: []events.Balance{at(2, "+20=20@2", "+stop=0@2"), at(6, "+20=20@5", "+stop=0@5"), at(7, "-20=20@7", "-stop=0@7")},
			want: []string{"1 low 20 @2", "2 exhausted 0 @2", "3 restored 0 @7"},
		},
		"a balance older than what was published is told nothing": {
			seen: []events.Balance{at(5, "+20=20@2", "+stop=0@5"), at(4, "+20=20@2", "-stop=0@1"), at(6, "+20=20@2", "+stop=0@5")},
			want: []string{"1 low 20 @2", "2 exhausted 0 @5"},
		},
		"a threshold that new terms add is told when they reach it": {
			seen: []events.Balance{at(2, "+20=20@2", "-stop=0@1"), at(3, "+50=50@3", "+20=20@2", "-stop=0@1")},
			want: []string{"1 low 20 @2", "2 low 50 @3"},
		},
		"terms that drop the last threshold told do not repeat the others": {
			seen: []events.Balance{at(2, "+20%=20@2", "+5=5@2", "-stop=0@1"), at(3, "+20%=20@2", "-stop=0@1")},
			want: []string{"1 low 20% @2", "2 low 5 @2"},
		},
		"terms that lower the hard stop without a cause restore by the account's last entry": {
			seen: []events.Balance{at(2, "+stop=0@2"), at(3, "-stop=-10@0"), at(4, "-stop=-10@0")},
			want: []string{"1 exhausted 0 @2", "2 restored -10 @3"},
		},
		"overage that starts is told once, and again when it starts again": {
			seen: []events.Balance{
				at(2, "+owes=0@2", "-stop=-50@0"), at(3, "+owes=0@2", "-stop=-50@0"),
				at(4, "-owes=0@4", "-stop=-50@0"), at(5, "+owes=0@5", "-stop=-50@0"),
			},
			want: []string{"1 overage_started 0 @2", "2 overage_started 0 @5"},
		},
		"a charge beyond everything tells low, that overage started, then exhausted": {
			seen: []events.Balance{at(2, "+20=20@2", "+owes=0@2", "+stop=-50@2"), at(3, "+20=20@2", "+owes=0@2", "+stop=-50@2")},
			want: []string{"1 low 20 @2", "2 overage_started 0 @2", "3 exhausted -50 @2"},
		},
		"overage below its limit again restores and does not tell the overage again": {
			seen: []events.Balance{at(2, "+owes=0@2", "+stop=-50@2"), at(3, "+owes=0@2", "-stop=-50@3")},
			want: []string{"1 overage_started 0 @2", "2 exhausted -50 @2", "3 restored -50 @3"},
		},
		"an account that is exhausted and may owe from now on is restored by the entry that said so": {
			seen: []events.Balance{at(2, "+stop=0@2"), at(3, "-owes=0@0"), at(4, "+owes=0@4")},
			want: []string{"1 exhausted 0 @2", "2 restored 0 @3", "3 overage_started 0 @4"},
		},
		"an account that may owe and owes already is told so after it is restored": {
			seen: []events.Balance{at(2, "+stop=0@2"), at(3, "+owes=0@3"), at(4, "+owes=0@3")},
			want: []string{"1 exhausted 0 @2", "2 restored 0 @3", "3 overage_started 0 @3"},
		},
		"an account without levels is told nothing": {seen: []events.Balance{at(2)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var published policy.Published
			var all []events.Signal
			for _, balance := range test.seen {
				for _, s := range policy.React(published, balance) {
					published = published.After(s)
					all = append(all, s)
				}
			}
			if diff := cmp.Diff(test.want, render(all)); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASignalSaysWhatTheAccountNeedsToKnow(t *testing.T) {
	balance := at(7, "+20%=20@5", "-stop=0@1")
	balance.Available, balance.Held, balance.Overage = 3, 2, 1
	balance.Levels[0].Since = &events.Cause{Sequence: 5, Index: 2, Kind: events.EntryDebit, At: instant(5), Source: "/api", ID: "call-9"}
	want := []events.Signal{{
		Account: "acme", Kind: events.SignalLow, Threshold: "20%", Scope: "account", Sequence: 1, At: instant(5),
		Balance: events.SignalBalance{Available: 3, Held: 2, Overage: 1},
		Cause:   events.Cause{Sequence: 5, Index: 2, Kind: events.EntryDebit, At: instant(5), Source: "/api", ID: "call-9"},
	}}
	if diff := cmp.Diff(want, policy.React(policy.Published{}, balance)); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

func TestEntriesOfOneMessageAreToldApartByTheirIndex(t *testing.T) {
	balance := func(index, since int) events.Balance {
		b := at(5, "+20=20@5", "-stop=0@1")
		b.Index, b.Levels[0].Since.Index = index, since
		return b
	}
	var published policy.Published
	for _, s := range policy.React(published, balance(4, 3)) {
		published = published.After(s)
	}
	if got := policy.React(published, balance(2, 1)); got != nil {
		t.Errorf("an entry earlier in the message told %v", render(got))
	}
	if got := policy.React(published, balance(9, 8)); len(got) != 1 {
		t.Errorf("an entry later in the message told %v; want one low", render(got))
	}
}
