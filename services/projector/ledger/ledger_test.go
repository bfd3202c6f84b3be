package ledger_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// feed applies entries one message each, a second apart.
type feed struct {
	state    *ledger.State
	sequence uint64
}

func newFeed() *feed { return &feed{state: ledger.New()} }

func (f *feed) apply(e events.Entry) (events.Decision, []ledger.Posting) {
	f.sequence++
	at := time.Date(2026, 1, 1, 0, 0, int(f.sequence), 0, time.UTC)
	return f.state.Apply(ledger.Point{Sequence: f.sequence, Time: at}, e, nil)
}

func debit(account string, amount events.Credits) events.Entry {
	return events.Entry{Kind: events.EntryDebit, Account: account, Debit: &events.Debit{Source: "/api", ID: "u1", Amount: amount}}
}

func grant(account, id string, amount events.Credits) events.Entry {
	return events.Entry{Kind: events.EntryGrant, Account: account, Grant: &events.Grant{ID: id, Amount: amount}}
}

func TestRefusesWhatWouldOverflow(t *testing.T) {
	const fits = 9223 // times MaxCredits
	charged, granted := newFeed(), newFeed()
	for i := range fits {
		if d, _ := charged.apply(debit("ada", events.MaxCredits)); d.Outcome != events.Applied {
			t.Fatalf("debit %d: %+v", i, d)
		}
		if d, _ := granted.apply(grant("ada", fmt.Sprint("g", i), events.MaxCredits)); d.Outcome != events.Applied {
			t.Fatalf("grant %d: %+v", i, d)
		}
	}
	for name, tt := range map[string]struct {
		feed  *feed
		entry events.Entry
	}{
		"a debit": {charged, debit("ada", events.MaxCredits)},
		"a grant": {granted, grant("ada", "last", events.MaxCredits)},
	} {
		before, _ := tt.feed.state.Balance("ada")
		d, postings := tt.feed.apply(tt.entry)
		if d.Code != events.RefusedOverflow || len(postings) != 1 || postings[0].Refused != events.RefusedOverflow {
			t.Errorf("%s: %+v %+v", name, d, postings)
		}
		after, _ := tt.feed.state.Balance("ada")
		after.Sequence, after.At = before.Sequence, before.At
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s changed the account (-before +after):\n%s", name, diff)
		}
	}
	amount := events.MaxCredits
	d, postings := granted.apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{
		Terms: events.Terms{Period: "day", Grant: &events.PlanGrant{Amount: amount}},
	}})
	if d.Outcome != events.Applied || postings[0].Kind != ledger.PostingPeriod || postings[0].Granted != 0 {
		t.Errorf("a period whose grant would overflow starts with %+v %+v, want it without the grant", d, postings)
	}
}

func TestRefusesEntriesWithoutTheirContent(t *testing.T) {
	for _, kind := range []events.EntryKind{
		events.EntryDebit, events.EntryGrant, events.EntryVoid, events.EntryAccount,
		events.EntryPlan, events.EntryRateCard, "", "unheard-of",
	} {
		d, postings := newFeed().apply(events.Entry{Kind: kind, Account: "ada"})
		if d.Code != events.RefusedInvalid || d.Detail == "" || len(postings) != 1 || postings[0].Refused != d.Code {
			t.Errorf("kind %q: %+v %+v", kind, d, postings)
		}
	}
	d, _ := newFeed().apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "bob"}})
	if d.Code != events.RefusedInvalid {
		t.Errorf("settings of another account: %+v", d)
	}
}

func TestTellsPlacesApartByIndex(t *testing.T) {
	state, at := ledger.New(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		point   ledger.Point
		applies bool
	}{
		{ledger.Point{Sequence: 5, Index: 0, Time: at}, true},
		{ledger.Point{Sequence: 5, Index: 2, Time: at}, true},
		{ledger.Point{Sequence: 5, Index: 2, Time: at}, false},
		{ledger.Point{Sequence: 5, Index: 1, Time: at}, false},
		{ledger.Point{Sequence: 4, Index: 9, Time: at}, false},
		{ledger.Point{Sequence: 6, Index: 0, Time: at}, true},
	} {
		for _, e := range []events.Entry{
			debit("ada", 1),
			{Kind: events.EntryRateCard, RateCard: &events.RateCard{Card: "c", Rules: []events.Rule{{}}}},
			{Kind: events.EntryTick, Account: "no account"},
		} {
			if _, postings := state.Apply(tt.point, e, nil); (len(postings) == 1) != tt.applies {
				t.Errorf("%s at %d.%d: %d postings", e.Kind, tt.point.Sequence, tt.point.Index, len(postings))
			}
		}
	}
}

func TestListsTheFirstGrantsInDrawOrder(t *testing.T) {
	f := newFeed()
	var want []string
	for i := range events.BalanceGrantsMax + 5 {
		e := grant("ada", fmt.Sprintf("g%03d", i), events.Credit)
		priority := uint8(255 - i)
		e.Grant.Priority = &priority
		if i == 60 { // does not count among the active ones
			e.Grant.EffectiveAt = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		} else {
			want = append(want, e.Grant.ID)
		}
		f.apply(e)
	}
	slices.Reverse(want)
	b, _ := f.state.Balance("ada")
	var got []string
	for _, g := range b.Grants {
		got = append(got, g.ID)
	}
	if diff := cmp.Diff(want[:events.BalanceGrantsMax], got); diff != "" || b.MoreGrants != 5 {
		t.Errorf("%d more; listed (-want +got):\n%s", b.MoreGrants, diff)
	}
}

func TestReadsTellWhatIsNotThere(t *testing.T) {
	f := newFeed()
	f.apply(debit("zoe", 1))
	f.apply(debit("ada", 1))
	f.apply(events.Entry{Kind: events.EntryPlan, Plan: &events.Plan{Plan: "pro", Terms: events.Terms{Period: "day"}}})
	if got := slices.Collect(f.state.Accounts()); !slices.Equal(got, []string{"ada", "zoe"}) {
		t.Errorf("accounts %v", got)
	}
	for a := range f.state.Accounts() {
		if a != "ada" {
			t.Errorf("the first account is %s", a)
		}
		break
	}
	if _, ok := f.state.Balance("bob"); ok {
		t.Error("an account the ledger never named has a balance")
	}
	if _, ok := f.state.Account("ada"); ok {
		t.Error("an account that was never set has settings")
	}
	if p, ok := f.state.Plan("pro"); !ok || p.Period != "day" {
		t.Errorf("plan pro: %+v %t", p, ok)
	}
	if _, ok := f.state.Plan("max"); ok {
		t.Error("a plan that was never applied exists")
	}
	if at, ok := f.state.NextDue(); ok {
		t.Errorf("something is due at %v", at)
	}
}

func TestReusesTheDrawsOfEarlierPostings(t *testing.T) {
	f := newFeed()
	f.apply(grant("ada", "g", 100*events.Credit))
	var postings []ledger.Posting
	e := debit("ada", events.Credit/10)
	allocated := testing.AllocsPerRun(100, func() {
		f.sequence++
		point := ledger.Point{Sequence: f.sequence, Time: time.Unix(1e9, 0)}
		_, postings = f.state.Apply(point, e, postings[:0])
	})
	if allocated > 0 {
		t.Errorf("a debit allocates %v times", allocated)
	}
	if len(postings) != 1 || len(postings[0].Draws) != 1 {
		t.Errorf("postings %+v", postings)
	}
}

// FuzzApplyIsTotal feeds whatever decodes as entries.
func FuzzApplyIsTotal(f *testing.F) {
	f.Add(`[{"kind":"plan","plan":{"plan":"p","period":"month","grant":{"amount":"5"}}},{"kind":"account","account":"a","settings":{"id":"a","plan":"p","started_at":"0001-01-31T00:00:00.5Z"}},{"kind":"debit","account":"a","debit":{"amount":"7"}}]`, int64(1e15))
	f.Add(`[{"kind":"grant","account":"a","grant":{"id":"g","amount":"5","expires_at":"9999-12-31T23:59:59Z","cost_basis":{"currency":"USD","price":"0.01"}}},{"kind":"void","account":"a","void":{"grant":"g"}},{"kind":"tick","account":"a"}]`, int64(-5))
	f.Add(`[{"kind":"rate_card","rate_card":{"card":"c","rules":[{"name":"r","price":{"flat":"1"}}]}},{"kind":"account","account":"a","settings":{"id":"a","period":"PT1M","thresholds":["100%","0"],"hard_stop_at":"3"}}]`, int64(0))
	f.Fuzz(func(t *testing.T, text string, gap int64) {
		var entries []events.Entry
		if json.Unmarshal([]byte(text), &entries) != nil {
			return
		}
		state := ledger.New()
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i, e := range entries {
			now = now.Add(time.Duration(gap % int64(366*24*time.Hour)))
			_, postings := state.Apply(ledger.Point{Sequence: uint64(i + 1), Time: now}, e, nil)
			if len(postings) == 0 {
				t.Fatalf("entry %d yields no posting", i)
			}
		}
		for account := range state.Accounts() {
			b, _ := state.Balance(account)
			if b.Granted != b.Remaining+b.Drawn+b.Expired+b.Voided || b.Charged != b.Drawn+b.Overage+b.Forgiven {
				t.Fatalf("credits are not conserved: %+v", b)
			}
			if _, err := json.Marshal(b); err != nil {
				t.Fatal(err)
			}
		}
	})
}
