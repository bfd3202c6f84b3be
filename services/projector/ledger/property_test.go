package ledger_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func TestAgreesWithANaiveFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, simple := ledger.New(), newNaive()
		for _, it := range history(t) {
			d, _ := state.Apply(it.point, it.entry, nil)
			got := string(d.Outcome)
			if d.Code != "" {
				got += " " + d.Code
			}
			if short := d.Shortage; short != nil {
				got += " " + short.Scope + " " + short.Available.String() + until(short.ResetsAt)
			}
			if d.TopUp != "" {
				got += " " + string(d.TopUp)
			}
			if want := simple.apply(it.point, it.entry); got != want {
				t.Fatalf("%d.%d %s %s: %s (%s), want %s", it.point.Sequence, it.point.Index, it.entry.Account, it.entry.Kind, got, d.Detail, want)
			}
			if it.entry.Account == "" {
				continue
			}
			b, _ := state.Balance(it.entry.Account)
			if diff := cmp.Diff(simple.accounts[it.entry.Account].balance(), b); diff != "" {
				t.Fatalf("after %d.%d %s (-naive +fold):\n%s", it.point.Sequence, it.point.Index, it.entry.Kind, diff)
			}
			for _, u := range b.Budgets {
				if due, ok := state.NextDue(); u.Spent > 0 && !u.End.IsZero() && (!ok || due.After(u.End)) {
					t.Fatalf("due at %v (%t); want it by the end of %+v", due, ok, u)
				}
			}
		}
	})
}

func TestConservesCredits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, sums := ledger.New(), map[string]*ledger.Posting{}
		for _, it := range history(t) {
			_, postings := state.Apply(it.point, it.entry, nil)
			if len(postings) == 0 {
				t.Fatal("an entry yielded no posting")
			}
			if last := postings[len(postings)-1]; string(last.Kind) != string(it.entry.Kind) {
				t.Fatalf("the last posting of a %s is a %s", it.entry.Kind, last.Kind)
			}
			for _, p := range postings {
				addUp(t, sums, p)
			}
			if it.entry.Account != "" {
				b, _ := state.Balance(it.entry.Account)
				checkTotals(t, *sums[it.entry.Account], b)
			}
		}
	})
}

// addUp adds p to the sums of its account and checks it by itself.
func addUp(t *rapid.T, sums map[string]*ledger.Posting, p ledger.Posting) {
	if p.Account == "" {
		return
	}
	sum := sums[p.Account]
	if sum == nil {
		sum = &ledger.Posting{}
		sums[p.Account] = sum
	}
	if sum.Number++; p.Number != sum.Number {
		t.Fatalf("posting %d follows %d", p.Number, sum.Number-1)
	}
	if p.At.Before(sum.At) {
		t.Fatalf("posting at %v follows one at %v", p.At, sum.At)
	}
	sum.At = p.At
	var draws events.Credits
	for _, d := range p.Draws {
		draws += d.Amount
	}
	if draws != p.Drawn {
		t.Fatalf("draws add up to %v of %v", draws, p.Drawn)
	}
	sum.Granted += p.Granted
	sum.Drawn += p.Drawn
	sum.Expired += p.Expired
	sum.Voided += p.Voided
	sum.Charged += p.Charged
	sum.Forgiven += p.Forgiven
	amounts := []events.Credits{p.Granted, p.Expired, p.Voided, p.Available, p.Held, p.Remaining, p.Overage}
	if p.Kind != ledger.PostingCorrection {
		amounts = append(amounts, p.Drawn, p.Charged, p.Forgiven)
	}
	for _, c := range amounts {
		if c < 0 {
			t.Fatalf("a negative amount: %+v", p)
		}
	}
	if p.Refused != "" && p.Granted+p.Drawn+p.Expired+p.Voided+p.Charged+p.Forgiven != 0 {
		t.Fatalf("a refused posting changed something: %+v", p)
	}
	if p.Remaining != sum.Granted-sum.Drawn-sum.Expired-sum.Voided || p.Overage != sum.Charged-sum.Drawn-sum.Forgiven {
		t.Fatalf("the posting does not follow from those before: %+v", p)
	}
	if p.Available+p.Held > max(p.Remaining, p.Held) || (p.Overage > 0 && p.Available > 0) {
		t.Fatalf("available is off: %+v", p)
	}
}

func checkTotals(t *rapid.T, sum ledger.Posting, b events.Balance) {
	if b.Granted != b.Remaining+b.Drawn+b.Expired+b.Voided || b.Charged != b.Drawn+b.Overage+b.Forgiven {
		t.Fatalf("credits are not conserved: %+v", b)
	}
	if b.Granted != sum.Granted || b.Drawn != sum.Drawn || b.Expired != sum.Expired ||
		b.Voided != sum.Voided || b.Charged != sum.Charged || b.Forgiven != sum.Forgiven {
		t.Fatalf("postings add up to %+v, balance is %+v", sum, b)
	}
	var listed events.Credits
	for _, g := range b.Grants {
		if g.Remaining < 0 || g.Remaining > g.Amount {
			t.Fatalf("grant %+v is not open", g)
		}
		listed += g.Remaining
	}
	if b.MoreGrants == 0 && listed != b.Remaining {
		t.Fatalf("grants add up to %v of %v", listed, b.Remaining)
	}
}

func TestDrawsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := ledger.New()
		for i, it := range history(t) {
			point := ledger.Point{Sequence: uint64(i + 1), Time: it.point.Time}
			if it.entry.Kind != events.EntryDebit {
				state.Apply(point, it.entry, nil)
				continue
			}
			state.Apply(point, events.Entry{Kind: events.EntryTick, Account: it.entry.Account}, nil)
			before, _ := state.Balance(it.entry.Account)
			point.Index++
			_, postings := state.Apply(point, it.entry, nil)
			if len(postings) != 1 {
				t.Fatalf("time passed twice: %+v", postings)
			}
			debit := postings[0]
			for i, d := range debit.Draws {
				if d.Grant != before.Grants[i].ID || (i < len(debit.Draws)-1 && d.Left != 0) {
					t.Fatalf("drew %+v from %+v", debit.Draws, before.Grants)
				}
			}
			if debit.Overage > before.Overage && debit.Available > 0 {
				t.Fatalf("overage grew while credits were available: %+v", debit)
			}
		}
	})
}

func TestReplayGivesTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := history(t)
		live, replay := ledger.New(), ledger.New()
		var buffer []ledger.Posting
		for i, it := range items {
			want, postings := live.Apply(it.point, it.entry, nil)
			var got events.Decision
			got, buffer = replay.Apply(it.point, roundTrip(t, it.entry), buffer[:0])
			if bytesOf(t, got) != bytesOf(t, want) || bytesOf(t, withoutEmpty(buffer)) != bytesOf(t, withoutEmpty(postings)) {
				t.Fatalf("entry %d replays as %+v %+v, was %+v %+v", i, got, buffer, want, postings)
			}
			replayed := items[rapid.IntRange(0, i).Draw(t, "redelivered")]
			if _, postings := replay.Apply(replayed.point, replayed.entry, nil); len(postings) != 0 {
				t.Fatalf("entry %+v applied twice: %+v", replayed, postings)
			}
		}
		sameState(t, live, replay, slices.Collect(live.Accounts()))
	})
}

func TestAccountsDoNotDependOnEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, part := ledger.New(), ledger.New()
		for _, it := range history(t) {
			_, postings := whole.Apply(it.point, it.entry, nil)
			if it.entry.Account == "ada" || it.entry.Account == "" {
				_, alone := part.Apply(it.point, it.entry, nil)
				if bytesOf(t, alone) != bytesOf(t, postings) {
					t.Fatalf("alone %+v, among others %+v", alone, postings)
				}
			}
		}
		sameState(t, whole, part, slices.Collect(part.Accounts()))
	})
}

// TestTicksLeaveNothingDue also shows that Due and NextDue agree, and that what
// is due is worth a tick.
func TestTicksLeaveNothingDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, now := ledger.New(), time.Time{}
		var sequence uint64
		for _, it := range history(t) {
			sequence++
			if it.point.Time.After(now) {
				now = it.point.Time
			}
			state.Apply(ledger.Point{Sequence: sequence, Time: it.point.Time}, it.entry, nil)
			for _, account := range state.Due(now, 2) {
				sequence++
				state.Apply(ledger.Point{Sequence: sequence, Time: now}, events.Entry{Kind: events.EntryTick, Account: account}, nil)
			}
			due := state.Due(now, 100)
			if next, ok := state.NextDue(); (ok && !next.After(now)) != (len(due) > 0) {
				t.Fatalf("next due %v at %v, but due are %v", next, now, due)
			}
			for _, account := range due {
				sequence++
				state.Apply(ledger.Point{Sequence: sequence, Time: now}, events.Entry{Kind: events.EntryTick, Account: account}, nil)
			}
			if left := state.Due(now, 100); len(left) != 0 {
				t.Fatalf("due after ticks: %v", left)
			}
		}
	})
}

func sameState(t *rapid.T, a, b *ledger.State, accounts []string) {
	for _, account := range accounts {
		left, _ := a.Balance(account)
		right, _ := b.Balance(account)
		if bytesOf(t, left) != bytesOf(t, right) {
			t.Fatalf("balances differ:\n%s", cmp.Diff(left, right))
		}
		leftSettings, _ := a.Account(account)
		rightSettings, _ := b.Account(account)
		if bytesOf(t, leftSettings) != bytesOf(t, rightSettings) {
			t.Fatalf("settings differ:\n%s", cmp.Diff(leftSettings, rightSettings))
		}
	}
}

// roundTrip is e as the log gives it back.
func roundTrip(t *rapid.T, e events.Entry) (read events.Entry) {
	if err := json.Unmarshal([]byte(bytesOf(t, e)), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func bytesOf(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// withoutEmpty is a copy in which no draws are nil, not an empty buffer.
func withoutEmpty(postings []ledger.Posting) []ledger.Posting {
	postings = slices.Clone(postings)
	for i := range postings {
		if len(postings[i].Draws) == 0 {
			postings[i].Draws = nil
		}
	}
	return postings
}
