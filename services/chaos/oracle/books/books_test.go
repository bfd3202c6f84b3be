package books_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// tell writes entries into new books, each "SECONDS ENTRY", and returns an account
// and what was decided.
func tell(t *testing.T, account string, entries ...string) (*books.Account, []string) {
	t.Helper()
	b := books.New()
	var decided []string
	for i, text := range entries {
		seconds, body, _ := strings.Cut(text, " ")
		after, err := time.ParseDuration(seconds)
		if err != nil {
			t.Fatal(err)
		}
		var e books.Entry
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if e.Kind != "plan" {
			e.Account = account
		}
		d := b.Apply(books.Place{Sequence: uint64(i + 1)}, noon.Add(after), &e)
		decided = append(decided, strings.TrimSpace(d.Outcome+" "+d.Code))
	}
	return b.Accounts[account], decided
}

func debit(amount, project string) string {
	return fmt.Sprintf(`{"kind":"debit","debit":{"amount":%q,"data":{"project":%q}}}`, amount, project)
}

// numbers are the totals of a balance that a test looks at.
func numbers(a *books.Account) string {
	b := a.Balance()
	return fmt.Sprintf("available %s held %s overage %s drawn %s expired %s voided %s charged %s forgiven %s",
		b.Available, b.Held, b.Overage, b.Drawn, b.Expired, b.Voided, b.Charged, b.Forgiven)
}

func TestTheExamplesOfTheDocuments(t *testing.T) {
	tests := map[string]struct {
		entries []string
		want    string
		decided []string
	}{
		"what is drawn, and what expires": {
			entries: []string{
				"0s " + debit("5", ""),
				`0s {"kind":"grant","grant":{"id":"late","amount":"100","effective_at":"2026-12-01T13:00:00Z"}}`,
				`0s {"kind":"grant","grant":{"id":"soon","amount":"50","expires_at":"2026-12-01T12:01:00Z"}}`,
				`0s {"kind":"grant","grant":{"id":"soon","amount":"70"}}`,
				`0s {"kind":"grant","grant":{"id":"first","amount":"10","priority":1}}`,
				"0s " + debit("12", ""), `60s {"kind":"tick"}`, "2h " + debit("81", ""), `2h {"kind":"void","void":{"grant":"late"}}`,
			},
			want: "available 0 held 0 overage 0 drawn 98 expired 43 voided 19 charged 98 forgiven 0",
		},
		"a hold is captured in part": {
			entries: []string{
				`0s {"kind":"grant","grant":{"id":"g","amount":"10"}}`, `0s {"kind":"hold","hold":{"id":"h","amount":"6","expires_in":"1h"}}`,
				`0s {"kind":"hold","hold":{"id":"i","amount":"5"}}`, "0s " + debit("2", ""), `1s {"kind":"capture","capture":{"hold":"h","amount":"2.5"}}`,
				`1s {"kind":"capture","capture":{"hold":"h","amount":"2.5"}}`, `1s {"kind":"capture","capture":{"hold":"h","amount":"3"}}`,
			},
			want:    "available 5.5 held 0 overage 0 drawn 4.5 expired 0 voided 0 charged 4.5 forgiven 0",
			decided: []string{"applied", "applied", "refused insufficient", "applied", "applied", "unchanged", "refused captured"},
		},
		"a hold expires": {
			entries: []string{
				`0s {"kind":"grant","grant":{"id":"g","amount":"10"}}`, `0s {"kind":"hold","hold":{"id":"h","amount":"6"}}`,
				`60s {"kind":"release","release":{"hold":"h"}}`,
			},
			want:    "available 10 held 0 overage 0 drawn 0 expired 0 voided 0 charged 0 forgiven 0",
			decided: []string{"applied", "applied", "refused expired"},
		},
		"overage is forgiven, and what is left is carried over": {
			entries: []string{
				`0s {"kind":"plan","plan":{"plan":"p","period":"PT1M","grant":{"amount":"100","rollover":{"max":"30"}}}}`,
				`0s {"kind":"account","settings":{"id":"a","plan":"p"}}`, "1s " + debit("140", ""), "61s " + debit("80", ""), "121s " + debit("25", ""), `181s {"kind":"tick"}`,
			},
			// 40 are forgiven, 20 are carried, and of 95 that are left 65 expire.
			want: "available 130 held 0 overage 0 drawn 205 expired 65 voided 0 charged 245 forgiven 40",
		},
		"a budget refuses holds, and its next window does not": {
			entries: []string{
				`0s {"kind":"account","settings":{"id":"a","budgets":[{"scope":"project:*","limit":"10","per":"PT1M"}]}}`,
				`0s {"kind":"grant","grant":{"id":"g","amount":"100"}}`, "1s " + debit("9", "web"),
				`1s {"kind":"hold","hold":{"id":"h","amount":"2","project":"web"}}`, `1s {"kind":"hold","hold":{"id":"i","amount":"2","project":"app"}}`,
				`61s {"kind":"hold","hold":{"id":"j","amount":"2","project":"web"}}`,
			},
			want:    "available 89 held 2 overage 0 drawn 9 expired 0 voided 0 charged 9 forgiven 0",
			decided: []string{"applied", "applied", "applied", "refused insufficient", "applied", "applied"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, decided := tell(t, "a", test.entries...)
			if got := numbers(a); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			if diff := cmp.Diff(test.decided, decided); test.decided != nil && diff != "" {
				t.Errorf("decided (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCrossingsAreNoted(t *testing.T) {
	a, _ := tell(t, "a", "0s "+debit("5", ""), `0s {"kind":"grant","grant":{"id":"g","amount":"50"}}`, "0s "+debit("40", ""), "0s "+debit("5", ""))
	for crossing, want := range map[books.Crossing]uint64{
		{Kind: "exhausted", Threshold: "0"}: 1, {Kind: "restored", Threshold: "0"}: 2, {Kind: "low", Threshold: "20%"}: 3,
	} {
		if !a.Crossed(crossing, books.Place{Sequence: want}) {
			t.Errorf("%v is not crossed at %d", crossing, want)
		}
	}
	if a.Crossed(books.Crossing{Kind: "restored", Threshold: "0"}, books.Place{Sequence: 4}) {
		t.Error("restored by what exhausts")
	}
}
